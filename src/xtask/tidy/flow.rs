//! The flow inside a crate: a module names only those that stand before it.
//!
//! A crate says its flow in the documentation of its `lib.rs`, where a reader wants it:
//!
//! ```text
//! //! Each module names only those to its left:
//! //!
//! //! ```text
//! //! sink -> record -> (finding, rule) -> judge
//! //! ```
//! ```
//!
//! Modules in parentheses know each other. What only tests use is left out.

use std::path::Path;

use super::{Complaint, File};

/// The line of `lib.rs` that announces the flow.
const ANNOUNCED: &str = "//! Each module names only those to its left:";

pub(super) fn check(files: &[File], complaints: &mut Vec<Complaint>) {
    for root in files.iter().filter(|file| file.path.ends_with("lib.rs")) {
        let Some((line, flow)) = flow(&root.text) else { continue };
        let Some(folder) = root.path.parent() else { continue };
        let place = |module: &str| flow.iter().position(|step| step.contains(&module));
        for file in files.iter().filter(|file| is_source(&file.path, folder)) {
            let Some(module) = module(&file.path, folder) else { continue };
            let Some(own) = place(module) else {
                complaints.push(Complaint::new(&root.path, line, format!("`{module}` is not in the flow")));
                continue;
            };
            for (line, named) in named(&file.text) {
                if place(named).is_some_and(|place| place > own) {
                    let what = format!("`{module}` names `{named}`, which comes after it");
                    complaints.push(Complaint::new(&file.path, line, what));
                }
            }
        }
    }
}

/// The line on which the flow stands, and its steps.
fn flow(text: &str) -> Option<(usize, Vec<Vec<&str>>)> {
    let mut lines = (1..).zip(text.lines()).skip_while(|(_, line)| line.trim() != ANNOUNCED).skip(1);
    let (number, _) = lines.find(|(_, line)| line.trim() == "//! ```text")?;
    let steps = lines
        .map(|(_, line)| line.trim_start_matches("//!").trim())
        .take_while(|line| *line != "```")
        .flat_map(|line| line.split("->"))
        .map(|step| {
            step.split(['(', ')', ',']).map(str::trim).filter(|name| !name.is_empty()).collect::<Vec<_>>()
        })
        .filter(|step| !step.is_empty())
        .collect();
    Some((number, steps))
}

fn is_source(path: &Path, folder: &Path) -> bool {
    let inside =
        path.strip_prefix(folder).is_ok_and(|rest| !rest.starts_with("fuzz") && !rest.starts_with("benches"));
    let test = path
        .iter()
        .any(|part| ["tests", "tests.rs", "testing.rs", "testing"].iter().any(|name| part == *name));
    inside && !test && path.extension().is_some_and(|extension| extension == "rs")
}

/// The top module that a file belongs to; none for the crate's roots.
fn module<'a>(path: &'a Path, folder: &Path) -> Option<&'a str> {
    let first = path.strip_prefix(folder).ok()?.iter().next()?.to_str()?;
    match first.strip_suffix(".rs") {
        Some("lib" | "main") => None,
        Some(module) => Some(module),
        None => Some(first),
    }
}

/// What the code of a file names as `crate::module`, with the line, up to its tests.
fn named(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut lines = (1..).zip(text.lines()).peekable();
    while let Some((number, line)) = lines.next() {
        let tests =
            line.trim() == "#[cfg(test)]" && lines.peek().is_some_and(|(_, next)| next.starts_with("mod "));
        if tests {
            break;
        }
        if !line.trim_start().starts_with("//") {
            found.extend(line.split("crate::").skip(1).flat_map(heads).map(|name| (number, name)));
        }
    }
    found
}

/// The first word of a path, or of each path in braces.
fn heads(path: &str) -> Vec<&str> {
    let paths = path.strip_prefix('{').map_or(vec![path], |group| group.split(',').map(str::trim).collect());
    let word = |letter: char| letter.is_alphanumeric() || letter == '_';
    paths
        .into_iter()
        .map(|path| path.split_once(|letter| !word(letter)).map_or(path, |(head, _)| head))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints(path: &str, text: &str) -> Vec<String> {
        let root = "//! Each module names only those to its left:\n//!\n//! ```text\n//! a -> (b, c)\n//! -> d\n//! ```\n";
        let files = [("x/lib.rs", root), (path, text)]
            .map(|(path, text)| File { path: path.into(), text: text.to_owned() });
        let mut complaints = Vec::new();
        check(&files, &mut complaints);
        complaints.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn modules_look_to_the_left() {
        for (path, text, complaint) in [
            ("x/b.rs", "use crate::a::A;", None),
            ("x/b/deep.rs", "use crate::c::C;", None),
            ("x/b.rs", "\nuse crate::d::D;", Some("x/b.rs:2: `b` names `d`, which comes after it")),
            ("x/a/mod.rs", "fn f(d: crate::d::D)", Some("x/a/mod.rs:1: `a` names `d`, which comes after it")),
            ("x/a.rs", "use crate::{a, b::B};", Some("x/a.rs:1: `a` names `b`, which comes after it")),
            ("x/a.rs", "// see crate::d", None),
            ("x/a.rs", "#[cfg(test)]\nmod tests {\n    use crate::d;\n}", None),
            ("x/a/tests.rs", "use crate::d;", None),
            ("x/e.rs", "", Some("x/lib.rs:3: `e` is not in the flow")),
            ("y/e.rs", "use crate::d;", None),
            ("x/lib.rs", "use crate::d;", None),
        ] {
            assert_eq!(complaints(path, text), Vec::from_iter(complaint), "{path} {text}");
        }
    }
}
