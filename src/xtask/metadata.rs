//! The part of `cargo metadata` that tasks read.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

use crate::exec;
use crate::task::{Repository, TaskError};

/// The workspace.
#[derive(Debug, Deserialize)]
pub(crate) struct Metadata {
    pub(crate) workspace_root: PathBuf,
    pub(crate) target_directory: PathBuf,
    /// Its members.
    pub(crate) packages: Vec<Package>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) manifest_path: PathBuf,
    pub(crate) dependencies: Vec<Dependency>,
    /// By name, with what each turns on.
    pub(crate) features: BTreeMap<String, Vec<String>>,
    targets: Vec<Target>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    /// `dev`, `build`, or none for an ordinary one.
    pub(crate) kind: Option<String>,
    /// Only of crates of this repository.
    pub(crate) path: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

impl Metadata {
    pub(crate) fn read(repository: &Repository) -> Result<Self, TaskError> {
        let mut cargo = exec::cargo();
        cargo.current_dir(repository.root()).args([
            "metadata",
            "--no-deps",
            "--format-version",
            "1",
            "--locked",
        ]);
        serde_json::from_str(&exec::read(&mut cargo)?)
            .map_err(|source| TaskError::Output { command: "cargo metadata", source })
    }

    /// The targets of a kind, such as `bench`, as package and target.
    pub(crate) fn targets(&self, kind: &str) -> impl Iterator<Item = (&str, &str)> {
        self.packages.iter().flat_map(move |package| {
            let of_kind =
                package.targets.iter().filter(move |target| target.kind.iter().any(|it| it == kind));
            of_kind.map(|target| (package.name.as_str(), target.name.as_str()))
        })
    }
}
