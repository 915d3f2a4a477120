//! The root manifest as a table of contents, and who may depend on whom.

use std::path::{Path, PathBuf};

use super::{Complaint, File};
use crate::metadata::{Metadata, Package};
use crate::task::{Repository, TaskError};

/// What of ours each crate may use, tests apart. A crate that is not here is complained of.
const MAY_USE: &[(&str, &[&str])] = &[
    ("hopseal-identity", &[]),
    ("hopseal-correlate", &["hopseal-identity"]),
    ("hopseal-formats", &["hopseal-correlate"]),
    ("hopseal-collector", &["hopseal-identity", "hopseal-correlate", "hopseal-formats", "hopseal"]),
    ("hopseal", &["hopseal-identity"]),
    ("hopseal-tests", &["hopseal-identity"]),
    ("hopseal-tests-vfs", &[]),
    ("hopseal-xtask", &[]),
];

/// The one crate that may hold `unsafe`, which the lints of all others forbid: only tests may be built with it.
const UNSAFE: &str = "hopseal-tests-vfs";

/// A crate of the workspace, as far as we check it.
#[derive(Debug)]
pub(super) struct Member {
    name: String,
    /// From the root of the repository.
    manifest: PathBuf,
    /// What it is built with, of ours. Not what only its tests use.
    uses: Vec<String>,
}

/// The members of the workspace.
pub(super) fn members(repository: &Repository) -> Result<Vec<Member>, TaskError> {
    let metadata = Metadata::read(repository)?;
    let member = |package: Package| Member {
        name: package.name,
        manifest: package
            .manifest_path
            .strip_prefix(&metadata.workspace_root)
            .unwrap_or(&package.manifest_path)
            .into(),
        uses: package
            .dependencies
            .into_iter()
            .filter(|dependency| dependency.path.is_some() && dependency.kind.as_deref() != Some("dev"))
            .map(|dependency| dependency.name)
            .collect(),
    };
    Ok(metadata.packages.into_iter().map(member).collect())
}

pub(super) fn check(files: &[File], members: &[Member], complaints: &mut Vec<Complaint>) {
    let text =
        |path: &Path| files.iter().find(|file| file.path == path).map_or("", |file| file.text.as_str());
    let root = Path::new("Cargo.toml");
    for member in members {
        if member.name != UNSAFE && !inherits_lints(text(&member.manifest)) {
            let what = "`[lints] workspace = true` is missing";
            complaints.push(Complaint::new(&member.manifest, 0, what));
        }
        let folder = member.manifest.parent().unwrap_or(root).display().to_string();
        if !is_explained(text(root), &folder) {
            let what = format!("member `{folder}` needs a comment that says what it is");
            complaints.push(Complaint::new(root, 0, what));
        }
        let Some((_, may_use)) = MAY_USE.iter().find(|(name, _)| *name == member.name) else {
            let what = format!("say in `MAY_USE` what of ours `{}` may use", member.name);
            complaints.push(Complaint::new(&member.manifest, 0, what));
            continue;
        };
        for used in member.uses.iter().filter(|used| !may_use.contains(&used.as_str())) {
            let what = format!("`{}` must not depend on `{used}`", member.name);
            complaints.push(Complaint::new(&member.manifest, 0, what));
        }
    }
}

fn inherits_lints(manifest: &str) -> bool {
    let mut after = manifest.lines().skip_while(|line| line.trim() != "[lints]").skip(1);
    after.next().is_some_and(|line| line.trim() == "workspace = true")
}

fn is_explained(root: &str, folder: &str) -> bool {
    let entry = format!("\"{folder}\",");
    let line = root.lines().find_map(|line| line.trim().strip_prefix(&entry));
    line.is_some_and(|rest| rest.trim().strip_prefix('#').is_some_and(|comment| !comment.trim().is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints(root: &str, manifest: &str, name: &str, uses: &[&str]) -> Vec<String> {
        let files = [("Cargo.toml", root), ("src/x/Cargo.toml", manifest)]
            .map(|(path, text)| File { path: path.into(), text: text.to_owned() });
        let member = Member {
            name: name.to_owned(),
            manifest: "src/x/Cargo.toml".into(),
            uses: uses.iter().map(ToString::to_string).collect(),
        };
        let mut complaints = Vec::new();
        check(&files, &[member], &mut complaints);
        complaints.iter().map(ToString::to_string).collect()
    }

    const ROOT: &str = "members = [\n    \"src/x\", # what it is\n]";
    const LINTS: &str = "[lints]\nworkspace = true\n";

    #[test]
    fn manifests() {
        for (root, manifest, name, uses, complaint) in [
            (ROOT, LINTS, "hopseal-correlate", &["hopseal-identity"][..], None),
            (
                ROOT,
                "",
                "hopseal-identity",
                &[],
                Some("src/x/Cargo.toml: `[lints] workspace = true` is missing"),
            ),
            (
                "\"src/x\",",
                LINTS,
                "hopseal-identity",
                &[],
                Some("Cargo.toml: member `src/x` needs a comment that says what it is"),
            ),
            (
                ROOT,
                LINTS,
                "hopseal-correlate",
                &["hopseal-formats"],
                Some("src/x/Cargo.toml: `hopseal-correlate` must not depend on `hopseal-formats`"),
            ),
            (ROOT, LINTS, "new", &[], Some("src/x/Cargo.toml: say in `MAY_USE` what of ours `new` may use")),
        ] {
            assert_eq!(complaints(root, manifest, name, uses), Vec::from_iter(complaint), "{name}");
        }
    }
}
