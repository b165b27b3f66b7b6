//! The text that is signed: one field a line, so that any program can write it again from the JSON
//! without a canonical form of JSON.

use std::fmt::Write;

use super::Manifest;
use crate::digest::sha256;

impl Manifest {
    /// The signed text. Every field of the manifest but `sig` is in it. Each line ends with a line feed,
    /// an absent field is `-`. The fields must have passed [`Manifest::check`], which keeps line feeds out.
    pub fn statement(&self) -> String {
        let mut text = String::from("graft-head-v1\n");
        let optional = |field: &Option<String>| field.clone().unwrap_or_else(|| "-".to_owned());
        let mut line = |name: &str, value: &str| {
            // Writing into a String cannot fail.
            let _ = writeln!(text, "{name} {value}");
        };
        line("device", &self.device);
        line("version", &self.version.to_string());
        line("restored_from", &self.restored_from.map_or_else(|| "-".to_owned(), |v| v.to_string()));
        line("parent", &optional(&self.parent));
        line("digest", &self.digest);
        line("size", &self.size.to_string());
        line("format", "safetensors");
        line("dtype", self.dtype.as_str());
        line("backbone_digest", &self.backbone.digest);
        line("backbone_name", &self.backbone.name);
        line("tensor", &self.tensor);
        line("preprocess", &self.preprocess);
        line("classes", &format!("{} {}", self.classes.len(), classes_digest(&self.classes)));
        line("snapshot", &self.snapshot);
        line("method", &self.method);
        line("created", &self.created);
        line("expires", &optional(&self.expires));
        line("url", &optional(&self.url));
        line("metrics", &self.metrics.len().to_string());
        for (name, value) in &self.metrics {
            line("metric", &format!("{name} {value:.6}"));
        }
        line("parts", &self.parts.len().to_string());
        for part in &self.parts {
            line("part", &format!("{} {} {}", part.n, part.len, part.sha256));
        }
        line("key_id", &self.key_id);
        text
    }
}

/// Digest of the class names, each followed by a line feed.
pub fn classes_digest(classes: &[String]) -> String {
    let mut text = String::new();
    for class in classes {
        text.push_str(class);
        text.push('\n');
    }
    sha256(text.as_bytes())
}
