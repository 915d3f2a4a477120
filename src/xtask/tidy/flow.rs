//! The flow inside a crate: a module names only those that stand before it.
//!
//! A crate says its flow in the documentation of its `lib.rs`, where a reader wants it:
//!
//! ```text
//! //! Each module names only those to its left:
//! //!
//! //! ```text
//! //! sink -> record -> otlp, jaeger -> (finding, rule) -> judge
//! //! ```
//! ```
//!
//! Modules with a comma between them do not name each other, unless they stand in parentheses. What only tests use is
//! left out.

use std::path::Path;

use super::{Complaint, File};

/// How the flow is announced.
const ANNOUNCED: &str = "//! Each module names only those to its left";

/// Modules at one place of the flow.
#[derive(Debug)]
struct Step<'a> {
    modules: Vec<&'a str>,
    /// Whether they may name each other.
    together: bool,
}

pub(super) fn check(files: &[File], complaints: &mut Vec<Complaint>) {
    for root in files.iter().filter(|file| file.path.starts_with("src") && file.path.ends_with("lib.rs")) {
        let Some(folder) = root.path.parent() else { continue };
        let Some((line, flow)) = flow(&root.text) else {
            if root.text.lines().filter(|line| declares_module(line)).count() > 1 {
                complaints.push(Complaint::new(&root.path, 0, "say which module may name which"));
            }
            continue;
        };
        for file in files.iter().filter(|file| is_source(&file.path, folder)) {
            let Some(module) = module(&file.path, folder) else { continue };
            let Some(own) = place(&flow, module) else {
                complaints.push(Complaint::new(&root.path, line, format!("`{module}` is not in the flow")));
                continue;
            };
            let together = flow.get(own).is_some_and(|step| step.together);
            for (line, named) in named(&file.text) {
                let Some(place) = place(&flow, named) else { continue };
                if place > own || (place == own && named != module && !together) {
                    let what = format!("`{module}` names `{named}`, which does not stand before it");
                    complaints.push(Complaint::new(&file.path, line, what));
                }
            }
        }
    }
}

fn place(flow: &[Step<'_>], module: &str) -> Option<usize> {
    flow.iter().position(|step| step.modules.contains(&module))
}

/// The line on which the flow stands, and its steps.
fn flow(text: &str) -> Option<(usize, Vec<Step<'_>>)> {
    let mut lines = (1..).zip(text.lines()).skip_while(|(_, line)| !line.starts_with(ANNOUNCED)).skip(1);
    let (number, _) = lines.find(|(_, line)| line.trim() == "//! ```text")?;
    let steps = lines
        .map(|(_, line)| line.trim_start_matches("//!").trim())
        .take_while(|line| *line != "```")
        .flat_map(|line| line.split("->"))
        .map(|step| {
            let names = step.split(['(', ')', ',']).map(str::trim);
            Step { modules: names.filter(|name| !name.is_empty()).collect(), together: step.contains('(') }
        })
        .filter(|step| !step.modules.is_empty())
        .collect();
    Some((number, steps))
}

fn declares_module(line: &str) -> bool {
    line.starts_with("mod ") || line.starts_with("pub mod ") || line.starts_with("pub(crate) mod ")
}

fn is_source(path: &Path, folder: &Path) -> bool {
    let inside = path
        .strip_prefix(folder)
        .is_ok_and(|rest| !["fuzz", "benches", "examples"].iter().any(|beside| rest.starts_with(beside)));
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

    const ROOT: &str = "//! Each module names only those to its left:
//!
//! ```text
//! a -> (b, c)
//! -> d, e
//! ```
";

    fn complaints(root: &str, path: &str, text: &str) -> Vec<String> {
        let files = [("src/x/lib.rs", root), (path, text)]
            .map(|(path, text)| File { path: path.into(), text: text.to_owned() });
        let mut complaints = Vec::new();
        check(&files, &mut complaints);
        complaints.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn modules_look_to_the_left() {
        for (path, text, complaint) in [
            ("src/x/b.rs", "use crate::a::A;", None),
            ("src/x/b/deep.rs", "use crate::c::C;", None),
            (
                "src/x/b.rs",
                "\nuse crate::d::D;",
                Some("src/x/b.rs:2: `b` names `d`, which does not stand before it"),
            ),
            (
                "src/x/e.rs",
                "use crate::d::D;",
                Some("src/x/e.rs:1: `e` names `d`, which does not stand before it"),
            ),
            ("src/x/e.rs", "use crate::e::E;", None),
            (
                "src/x/a/mod.rs",
                "fn f(d: crate::d::D)",
                Some("src/x/a/mod.rs:1: `a` names `d`, which does not stand before it"),
            ),
            (
                "src/x/a.rs",
                "use crate::{a, b::B};",
                Some("src/x/a.rs:1: `a` names `b`, which does not stand before it"),
            ),
            ("src/x/a.rs", "// see crate::d", None),
            ("src/x/a.rs", "#[cfg(test)]\nmod tests {\n    use crate::d;\n}", None),
            ("src/x/a/tests.rs", "use crate::d;", None),
            ("src/x/f.rs", "", Some("src/x/lib.rs:3: `f` is not in the flow")),
            ("src/y/f.rs", "use crate::d;", None),
        ] {
            assert_eq!(complaints(ROOT, path, text), Vec::from_iter(complaint), "{path} {text}");
        }
    }

    #[test]
    fn a_crate_of_modules_says_its_flow() {
        assert_eq!(
            complaints("mod a;\npub mod b;\n", "src/x/a.rs", ""),
            ["src/x/lib.rs: say which module may name which"]
        );
        assert_eq!(complaints("mod a;\n", "src/x/a.rs", ""), [""; 0]);
    }
}
