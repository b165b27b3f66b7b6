//! Declared inputs and outputs.

use super::wire::Fields;
use super::{Dim, Limits, Port, ScanError, tensor};

/// A declared input or output, borrowed from the file.
#[derive(Debug, Default)]
pub(super) struct RawPort<'a> {
    pub(super) name: &'a str,
    element: i64,
    shape: Option<Vec<Dim>>,
}

impl<'a> RawPort<'a> {
    /// Reads one `ValueInfoProto`.
    pub(super) fn read(bytes: &'a [u8], limits: &Limits) -> Result<Self, ScanError> {
        let mut port = RawPort::default();
        for field in Fields::new(bytes) {
            match field? {
                (1, value) => port.name = value.text()?,
                (2, value) => port.read_type(value.bytes()?, limits)?,
                _ => {}
            }
        }
        Ok(port)
    }

    pub(super) fn port(&self) -> Port {
        Port {
            name: self.name.into(),
            element: tensor::element_name(self.element),
            shape: self.shape.clone(),
        }
    }

    fn read_type(&mut self, bytes: &[u8], limits: &Limits) -> Result<(), ScanError> {
        for field in Fields::new(bytes) {
            // Sequences, maps and optionals keep element type 0 and are refused as "undefined" inputs.
            let (1, tensor) = field? else { continue };
            for field in Fields::new(tensor.bytes()?) {
                match field? {
                    (1, value) => self.element = value.integer()?,
                    (2, value) => self.shape = Some(read_shape(value.bytes()?, limits)?),
                    _ => {}
                }
            }
        }
        Ok(())
    }
}

fn read_shape(bytes: &[u8], limits: &Limits) -> Result<Vec<Dim>, ScanError> {
    let mut dims = Vec::new();
    for field in Fields::new(bytes) {
        let (1, dim) = field? else { continue };
        let mut one = Dim::Named("?".into());
        for field in Fields::new(dim.bytes()?) {
            match field? {
                // Some exporters write -1 for "any".
                (1, value) => {
                    if let Ok(fixed) = u64::try_from(value.integer()?) {
                        one = Dim::Fixed(fixed);
                    }
                }
                (2, value) => one = Dim::Named(value.text()?.chars().take(60).collect()),
                _ => {}
            }
        }
        dims.push(one);
        if dims.len() > limits.entries {
            return Err(ScanError::TooMany { what: "dimensions", limit: limits.entries });
        }
    }
    Ok(dims)
}

/// See [`Scan::image_input`].
pub(super) fn image_input(inputs: &[Port]) -> Result<&Port, ScanError> {
    let input = match inputs {
        [] => return Err(ScanError::NoInput),
        [one] => one,
        many => {
            let names: Vec<_> = many.iter().take(4).map(|port| format!("`{}`", port.name)).collect();
            return Err(ScanError::ManyInputs { count: many.len(), names: names.join(", ") });
        }
    };
    let three = |dim: &Dim| matches!(dim, Dim::Fixed(3) | Dim::Named(_));
    let picture = match input.shape.as_deref() {
        None => true,
        Some([_, second, third, fourth]) => {
            let sides = |a: &Dim, b: &Dim| [a, b].iter().all(|side| !matches!(side, Dim::Fixed(0..8)));
            (three(second) && sides(third, fourth)) || (three(fourth) && sides(second, third))
        }
        Some(_) => false,
    };
    let float = matches!(&*input.element, "float32" | "float16");
    if picture && float {
        return Ok(input);
    }
    let shape = input.shape.as_ref().map_or_else(String::new, |dims| {
        let dims: Vec<_> = dims
            .iter()
            .map(|dim| match dim {
                Dim::Fixed(n) => n.to_string(),
                Dim::Named(name) => name.clone(),
            })
            .collect();
        format!(" [{}]", dims.join(", "))
    });
    Err(ScanError::NotAnImage { input: input.name.clone(), found: format!("{}{shape}", input.element) })
}
