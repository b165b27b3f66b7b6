//! Matrix arithmetic, the only place of this crate with `unsafe`: [`product`] for square work through
//! `matrixmultiply`, [`fused`] for one pass over tall embeddings with few columns.

pub(crate) mod fused;
mod kernels;
mod product;
mod tiles;

#[cfg(test)]
mod fused_tests;
#[cfg(test)]
mod product_tests;

pub(crate) use product::{
    Matrix, MatrixMut, Real, add_gram_lower, mirror_lower, multiply, multiply_in_pieces,
};
