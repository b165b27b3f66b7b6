//! The text that is signed: one field a line.

use std::fmt::Write;

use super::BackboneManifest;
use crate::manifest::classes_digest;

impl BackboneManifest {
    /// The signed text. Every field of the manifest but `schema` and `sig` is in it, the schema being the
    /// number in the first line. Each line ends with a line feed, an absent field is `-`. The fields must
    /// have passed [`BackboneManifest::check`], which keeps line feeds out.
    pub fn statement(&self) -> String {
        let mut text = String::from("graft-backbone-v1\n");
        let mut line = |name: &str, value: &str| {
            // Writing into a String cannot fail.
            let _ = writeln!(text, "{name} {value}");
        };
        line("line", &self.line);
        line("version", &self.version.to_string());
        for (name, field) in [("device", &self.device), ("group", &self.group), ("job", &self.job)] {
            line(name, field.as_deref().unwrap_or("-"));
        }
        line("base", &self.base);
        for (name, blob) in self.files.named() {
            line("file", &format!("{name} {} {}", blob.size, blob.digest));
        }
        line("tensor", &self.tensor);
        line("width", &self.width.to_string());
        line("classes", &format!("{} {}", self.classes.len(), classes_digest(&self.classes)));
        line("recipe", &self.recipe.to_string());
        line("metrics", &self.metrics.len().to_string());
        for (name, value) in &self.metrics {
            line("metric", &format!("{name} {value:.6}"));
        }
        line("created", &self.created);
        line("expires", &self.expires);
        line("key_id", &self.key_id);
        text
    }
}
