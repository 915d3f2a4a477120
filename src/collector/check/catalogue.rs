//! The capability catalogue as a file.

use std::path::Path;

use hopseal_correlate::catalogue::{Catalogue, Shown};
use hopseal_correlate::record::Service;
use serde::{Deserialize, Serialize};

use super::CheckError;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CatalogueFile {
    version: u32,
    services: Vec<ServiceEntry>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ServiceEntry {
    name: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    namespace: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    environment: String,
    /// None of a service that sends spans of which none begins a hop.
    operations: Vec<OperationEntry>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct OperationEntry {
    operation: String,
    hops: u64,
    identified: u64,
}

const VERSION: u32 = 1;
const WHAT: &str = "catalogue";

/// Reads a catalogue that `--write-catalogue` wrote.
///
/// # Errors
/// [`CheckError::Open`] or [`CheckError::Parse`].
pub fn load(path: &Path) -> Result<Catalogue, CheckError> {
    let parse = |source| CheckError::Parse { what: WHAT, path: path.to_owned(), source };
    let text = std::fs::read(path).map_err(|source| CheckError::Open {
        what: WHAT,
        path: path.to_owned(),
        source,
    })?;
    let file: CatalogueFile = serde_json::from_slice(&text).map_err(parse)?;
    if file.version != VERSION {
        let text = format!("version {} is not {VERSION}", file.version);
        return Err(parse(serde::de::Error::custom(text)));
    }
    let mut catalogue = Catalogue::default();
    for ServiceEntry { name, namespace, environment, operations } in &file.services {
        let service = Service { name, namespace, environment };
        if operations.is_empty() {
            catalogue.sends(name);
        }
        for OperationEntry { operation, hops, identified } in operations {
            catalogue.add(service, operation, Shown { hops: *hops, identified: *identified });
        }
    }
    Ok(catalogue)
}

/// Finds out whether a catalogue can be written there, before anything is read. What is there stays as it is.
pub(super) fn try_path(path: &Path) -> Result<(), CheckError> {
    let is_new = match std::fs::metadata(path) {
        Ok(about) if about.is_file() || about.is_dir() => false,
        // A pipe or device takes what comes.
        Ok(_) => return Ok(()),
        Err(_) => true,
    };
    let opened = std::fs::OpenOptions::new().append(true).create(true).open(path);
    let tried = match opened {
        Ok(_) if is_new => std::fs::remove_file(path),
        Ok(_) => Ok(()),
        Err(error) => Err(error),
    };
    tried.map_err(|source| CheckError::Write { path: path.to_owned(), source })
}

pub(super) fn save(path: &Path, catalogue: &Catalogue) -> Result<(), CheckError> {
    let services = catalogue.services().map(|(service, operations)| ServiceEntry {
        name: service.name.to_owned(),
        namespace: service.namespace.to_owned(),
        environment: service.environment.to_owned(),
        operations: operations
            .iter()
            .map(|(operation, shown)| OperationEntry {
                operation: operation.clone(),
                hops: shown.hops,
                identified: shown.identified,
            })
            .collect(),
    });
    let senders = catalogue.senders().map(|name| ServiceEntry {
        name: name.to_owned(),
        namespace: String::new(),
        environment: String::new(),
        operations: Vec::new(),
    });
    let file = CatalogueFile { version: VERSION, services: services.chain(senders).collect() };
    let write = |source| CheckError::Write { path: path.to_owned(), source };
    let mut text = serde_json::to_vec_pretty(&file).map_err(|error| write(error.into()))?;
    text.push(b'\n');
    std::fs::write(path, text).map_err(write)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_tried_without_a_trace() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("catalogue.json");
        try_path(&path).expect("a new file");
        assert!(!path.exists());
        std::fs::write(&path, "kept").expect("written");
        try_path(&path).expect("an old file");
        assert_eq!(std::fs::read(&path).expect("read"), b"kept");
        for bad in [folder.path(), &folder.path().join("none/catalogue.json")] {
            let error = try_path(bad).expect_err("no file can be there");
            assert_eq!(error.exit(), super::super::Exit::Usage);
        }
    }

    #[test]
    fn what_is_saved_is_loaded() {
        let mut catalogue = Catalogue::default();
        let service = Service { name: "orders", namespace: "shop", environment: "" };
        catalogue.add(service, "GET /orders", Shown { hops: 3, identified: 1 });
        catalogue.sends("stock");
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("catalogue.json");
        save(&path, &catalogue).expect("saved");
        let loaded = load(&path).expect("loaded");
        assert_eq!(loaded, catalogue);
        assert!(loaded.knows("stock") && !loaded.knows("stock2"));
    }
}
