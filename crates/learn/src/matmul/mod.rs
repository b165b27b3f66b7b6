//! Matrix arithmetic, the only place of this room with `unsafe`: [`product`] for square work through
//! `matrixmultiply`, [`fused`] for one pass over tall embeddings with few columns.

pub(crate) mod fused;
mod lanes;
mod product;
mod tiles;

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(test)]
mod fused_tests;
#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(test)]
mod product_tests;

pub(crate) use product::{
    Matrix, MatrixMut, Real, add_gram_lower, mirror_lower, multiply, multiply_in_pieces,
};
