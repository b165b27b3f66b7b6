//! What tract knows of tensors and windows, in our words.

use tract_onnx::prelude::*;
use tract_onnx::tract_core::ops::cnn::PoolSpec;
use tract_onnx::tract_core::ops::nn::DataFormat;

use super::network::Dims;
use graft_kernels::Filter;

/// The concrete shape of an outlet.
pub(super) fn shape(model: &TypedModel, outlet: OutletId) -> Option<&[usize]> {
    model.outlet_fact(outlet).ok()?.shape.as_concrete()
}

/// How many read an outlet, the model's own reader included.
pub(super) fn uses(model: &TypedModel, outlet: OutletId) -> usize {
    let readers = model.nodes[outlet.node].outputs[outlet.slot].successors.len();
    readers + model.outputs.iter().filter(|output| **output == outlet).count()
}

/// The value of an outlet that is always the same.
pub(super) fn constant(model: &TypedModel, outlet: OutletId) -> Option<&Arc<Tensor>> {
    model.outlet_fact(outlet).ok()?.konst.as_ref()
}

/// The numbers of a tensor of f32.
pub(super) fn floats(tensor: &Tensor) -> Option<Vec<f32>> {
    if tensor.datum_type() != f32::datum_type() {
        return None;
    }
    Some(tensor.try_as_plain_ram().ok()?.as_slice::<f32>().ok()?.to_vec())
}

/// Do the axes of `shape` before `axis` hold one element, and those after it a whole picture?
pub(super) fn is_channels(shape: &[usize], axis: usize, dims: Dims) -> bool {
    shape[..axis].iter().product::<usize>() == 1
        && shape[axis] == dims.channels
        && shape[axis + 1..].iter().product::<usize>() == dims.area()
}

/// Channels × height × width of a tensor by its shape alone.
pub(super) fn plain_dims(shape: &[usize]) -> Option<Dims> {
    let (channels, height, width) = match *shape {
        [1, channels, height, width] | [channels, height, width] => (channels, height, width),
        [1, channels] | [channels] => (channels, 1, 1),
        _ => return None,
    };
    (channels * height * width > 0).then_some(Dims { channels, height, width })
}

/// Filter and size of what a convolution or pooling makes.
pub(super) fn window(spec: &PoolSpec, inner: Dims) -> Option<(Filter, Dims)> {
    let [rows, columns] = *spec.kernel_shape else { return None };
    if !matches!(spec.data_format, DataFormat::NCHW | DataFormat::CHW)
        || spec.input_channels != inner.channels
    {
        return None;
    }
    let pads = spec.computed_padding(&[inner.height, inner.width]);
    let pair = |values: &[usize]| [values[0], values[1]];
    let filter = Filter {
        kernel: [rows, columns],
        stride: pair(&spec.strides()),
        dilation: pair(&spec.dilations()),
        pad: [pads[0].pad_before, pads[1].pad_before],
    };
    let (height, width) = (pads[0].convoluted, pads[1].convoluted);
    (height * width > 0).then_some((filter, Dims { channels: spec.output_channels, height, width }))
}

/// One number for each channel out of a constant that is broadcast over `out`.
pub(super) fn per_channel(tensor: &Tensor, out: &[usize], dims: Dims) -> Option<Vec<f32>> {
    let values = floats(tensor)?;
    if values.len() == 1 {
        return Some(vec![values[0]; dims.channels]);
    }
    let axis = tensor.shape().iter().position(|size| *size > 1)?;
    (values.len() == dims.channels && tensor.rank() == out.len() && is_channels(out, axis, dims))
        .then_some(values)
}
