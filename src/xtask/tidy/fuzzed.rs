//! Every parser of bytes has a fuzz target, and every fuzz target starts from seeds.
//!
//! A parser is a public function of `src/formats` from bytes to a `Sink`; the target of `otlp/json/mod.rs` is
//! `otlp_json`.

use std::path::Path;

use super::{Complaint, File};

const FORMATS: &str = "src/formats";
const FUZZ: &str = "src/formats/fuzz";

pub(super) fn check(files: &[File], complaints: &mut Vec<Complaint>) {
    let exists = |path: &Path| files.iter().any(|file| file.path == path);
    let fuzz = Path::new(FUZZ);
    let targets = fuzz.join("fuzz_targets");
    for file in files {
        let Ok(path) = file.path.strip_prefix(FORMATS) else { continue };
        if !file.path.starts_with(fuzz) && parses(&file.text) {
            let target = target(path);
            if !exists(&targets.join(&target).with_extension("rs")) {
                complaints.push(Complaint::new(
                    &file.path,
                    0,
                    format!("parser without a fuzz target `{target}`"),
                ));
            }
        }
        if file.path.starts_with(&targets) {
            let seeds = fuzz.join("seeds").join(path.file_stem().unwrap_or_default());
            if !files.iter().any(|file| file.path.starts_with(&seeds)) {
                complaints.push(Complaint::new(&file.path, 0, format!("no seed in `{}`", seeds.display())));
            }
        }
    }
}

/// Whether a public function takes bytes and calls a sink.
fn parses(text: &str) -> bool {
    let signatures = text.split("\npub fn ").skip(1).filter_map(|after| after.split('{').next());
    let mut parsers =
        signatures.filter(|signature| signature.contains("&[u8]") && signature.contains("Sink"));
    parsers.next().is_some()
}

fn target(path: &Path) -> String {
    let path = path.with_extension("");
    let path = if path.ends_with("mod") { path.parent().unwrap_or(&path) } else { &path };
    path.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("_")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARSER: &str = "//! Doc.\npub fn element<S: Sink>(\n    json: &[u8],\n    sink: &mut S,\n) {\n}\n";

    fn complaints(files: &[(&str, &str)]) -> Vec<String> {
        let files: Vec<File> =
            files.iter().map(|(path, text)| File { path: path.into(), text: (*text).to_owned() }).collect();
        let mut complaints = Vec::new();
        check(&files, &mut complaints);
        complaints.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn parsers_need_targets_and_targets_need_seeds() {
        let parser = ("src/formats/otlp/json/mod.rs", PARSER);
        let target = ("src/formats/fuzz/fuzz_targets/otlp_json.rs", "");
        let seed = ("src/formats/fuzz/seeds/otlp_json/small.json", "{}");
        assert_eq!(complaints(&[parser, target, seed]), [""; 0]);
        assert_eq!(
            complaints(&[parser]),
            ["src/formats/otlp/json/mod.rs: parser without a fuzz target `otlp_json`"]
        );
        assert_eq!(
            complaints(&[parser, target]),
            ["src/formats/fuzz/fuzz_targets/otlp_json.rs: no seed in `src/formats/fuzz/seeds/otlp_json`"]
        );
        assert_eq!(complaints(&[("src/formats/field.rs", "\npub fn whole(text: &[u8]) {}")]), [""; 0]);
        assert_eq!(complaints(&[("src/formats/jaeger.rs", PARSER)]).len(), 1);
    }
}
