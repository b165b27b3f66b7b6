//! Whether a file that came back from training may stand in the place of the one that was sent.

use prost::Message;
use tract_onnx::pb::{GraphProto, ModelProto, TensorProto, tensor_proto::DataType};

use super::BackboneError;
use super::contain::contained;
use super::scan::{Limits, Scan, ScanError, scan};

/// Why it may not.
#[derive(Debug, thiserror::Error)]
pub enum ReturnedError {
    /// It cannot be read.
    #[error(transparent)]
    Backbone(#[from] BackboneError),
    /// It is another network.
    #[error("the file has other {0} than the one it was trained from: only its weights may differ")]
    Interface(&'static str),
    /// A weight is infinite or not a number.
    #[error("the weights `{0}` hold a figure that is not finite")]
    NotFinite(String),
}

impl ReturnedError {
    /// One word for programs.
    pub fn reason(&self) -> &'static str {
        match self {
            // The scan sees most of them first.
            Self::Backbone(BackboneError::Refused(ScanError::NonFinite { .. })) | Self::NotFinite(_) => {
                "weights_not_finite"
            }
            Self::Backbone(_) => "backbone_unreadable",
            Self::Interface(_) => "interface_changed",
        }
    }
}

/// Whether `new` has inputs, outputs, operators and operator set of `old`, and only finite weights.
///
/// # Errors
/// The first thing that is wrong with `new`.
pub fn same_interface(old: &[u8], new: &[u8]) -> Result<(), ReturnedError> {
    let look = |bytes| scan(bytes, &Limits::default()).map_err(BackboneError::from);
    let (was, is): (Scan, Scan) = (look(old)?, look(new)?);
    for (what, same) in [
        ("inputs", was.inputs == is.inputs),
        ("outputs", was.outputs == is.outputs),
        ("operators", was.ops == is.ops),
        ("operator set", was.opset == is.opset),
    ] {
        if !same {
            return Err(ReturnedError::Interface(what));
        }
    }
    let proto = contained("read the file", || Ok(ModelProto::decode(new)?))?;
    match proto.graph.as_ref().and_then(not_finite) {
        Some(name) => Err(ReturnedError::NotFinite(name.chars().take(100).collect())),
        None => Ok(()),
    }
}

/// The first tensor of a graph, or of one inside it, with a figure that is not finite.
fn not_finite(graph: &GraphProto) -> Option<String> {
    let constants = graph.node.iter().flat_map(|node| &node.attribute);
    let inside = constants.clone().flat_map(|a| a.g.iter().chain(&a.graphs)).find_map(not_finite);
    let own = graph.initializer.iter().chain(constants.flat_map(|a| a.t.iter().chain(&a.tensors)));
    own.filter(|tensor| !is_finite(tensor)).map(|tensor| tensor.name.clone()).next().or(inside)
}

fn is_finite(tensor: &TensorProto) -> bool {
    let raw = &tensor.raw_data;
    let floats = tensor.float_data.iter().all(|v| v.is_finite());
    let doubles = tensor.double_data.iter().all(|v| v.is_finite());
    let rest = match DataType::try_from(tensor.data_type) {
        Ok(DataType::Float) => raw.as_chunks::<4>().0.iter().all(|b| f32::from_le_bytes(*b).is_finite()),
        Ok(DataType::Double) => raw.as_chunks::<8>().0.iter().all(|b| f64::from_le_bytes(*b).is_finite()),
        Ok(DataType::Float16) => {
            let halves = raw.as_chunks::<2>().0.iter().map(|b| u16::from_le_bytes(*b));
            // Bits of 16-bit floats stand in int32_data where there are no raw ones.
            halves.chain(tensor.int32_data.iter().map(|v| *v as u16)).all(|bits| bits & 0x7c00 != 0x7c00)
        }
        _ => true,
    };
    floats && doubles && rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tiny;

    fn changed(change: impl FnOnce(&mut GraphProto)) -> String {
        let (old, _) = tiny();
        let mut proto = ModelProto::decode(old).unwrap();
        change(proto.graph.as_mut().unwrap());
        same_interface(old, &proto.encode_to_vec()).map_or_else(|e| e.reason().to_owned(), |()| "same".into())
    }

    #[test]
    fn weights_may_differ_and_nothing_else() {
        let weight = |graph: &mut GraphProto, value: f32| {
            let floats = graph.initializer.iter_mut().filter(|t| t.data_type == 1);
            let tensor = floats.max_by_key(|t| t.raw_data.len()).unwrap();
            tensor.raw_data[..4].copy_from_slice(&value.to_le_bytes());
        };
        assert_eq!(changed(|_| ()), "same");
        assert_eq!(changed(|graph| weight(graph, 0.5)), "same");
        assert_eq!(changed(|graph| weight(graph, f32::NAN)), "weights_not_finite");
        assert_eq!(changed(|graph| weight(graph, f32::INFINITY)), "weights_not_finite");
        assert_eq!(changed(|graph| graph.output[0].name.push('x')), "backbone_unreadable");
        assert_eq!(changed(|graph| drop(graph.output.pop())), "interface_changed");
        assert_eq!(
            changed(|graph| {
                let relu = graph.node.iter_mut().find(|n| n.op_type == "Relu").unwrap();
                relu.op_type = "Sigmoid".into();
            }),
            "interface_changed"
        );
    }
}
