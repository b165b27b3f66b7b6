//! A backbone's manifest and the list of a job's files: what is read can be written, and read again as the same.
#![no_main]

use graft_wire::BackboneManifest;
use graft_wire::offload::Dataset;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    if let Ok(manifest) = BackboneManifest::from_json(input) {
        let again =
            BackboneManifest::from_json(manifest.to_json().as_bytes()).expect("what was written can be read");
        assert_eq!(manifest.statement(), again.statement());
    }
    if let Ok(dataset) = Dataset::from_json(input) {
        let again = Dataset::from_json(dataset.to_json().as_bytes()).expect("what was written can be read");
        assert_eq!(dataset, again);
    }
});
