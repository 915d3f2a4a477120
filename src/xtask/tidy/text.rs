//! Rules for single files.

use super::{Complaint, File};

/// A file longer than this is split.
const MAX_LINES: usize = 600;

/// Where a folder of somebody's own machine begins. Written in two parts, or this file would be found.
const MACHINE_PATHS: [&str; 2] = [concat!("/", "home/"), concat!("/", "root/")];

pub(super) fn check(file: &File, complaints: &mut Vec<Complaint>) {
    let rust = file.path.extension().is_some_and(|extension| extension == "rs");
    let lines = file.text.lines().count();
    if rust && lines > MAX_LINES {
        complaints.push(Complaint::new(
            &file.path,
            0,
            format!("{lines} lines; split what is over {MAX_LINES}"),
        ));
    }
    for (number, line) in (1..).zip(file.text.lines()) {
        if rust && let Some(odd) = line.chars().find(|letter| !letter.is_ascii()) {
            let what = format!("`{odd}` is not ASCII; write it as \\u{{{:x}}}", u32::from(odd));
            complaints.push(Complaint::new(&file.path, number, what));
        }
        if let Some(path) = MACHINE_PATHS.iter().find(|path| names_folder(line, path)) {
            let what = format!("`{path}` is a folder of one machine");
            complaints.push(Complaint::new(&file.path, number, what));
        }
    }
}

/// Whether `line` holds `path` from its root on, and not as the tail of a longer one.
fn names_folder(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        let before = line.get(..at).and_then(|before| before.chars().next_back());
        before.is_none_or(|letter| !letter.is_alphanumeric() && !".-_}*".contains(letter))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints(path: &str, text: &str) -> Vec<String> {
        let mut complaints = Vec::new();
        check(&File { path: path.into(), text: text.to_owned() }, &mut complaints);
        complaints.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn only_rust_files_have_a_length_and_an_alphabet() {
        let long = "\n".repeat(MAX_LINES + 1);
        assert_eq!(complaints("a.rs", &long), ["a.rs: 601 lines; split what is over 600"]);
        assert_eq!(complaints("a.rs", &"\n".repeat(MAX_LINES)), [""; 0]);
        assert_eq!(complaints("a.json", &long), [""; 0]);
        assert_eq!(
            complaints("a.rs", "\n// \u{2192}"),
            ["a.rs:2: `\u{2192}` is not ASCII; write it as \\u{2192}"]
        );
        assert_eq!(complaints("a.md", "\u{2192}"), [""; 0]);
    }

    #[test]
    fn folders_of_a_machine_are_found() {
        for (line, found) in [
            (concat!("/", "home/ann/x"), true),
            (concat!("\"/", "root/x\""), true),
            (concat!("file:///", "home/x"), true),
            (concat!("https://hopseal.example/", "home/x"), false),
            (concat!("src/", "home/x"), false),
            (concat!("../", "root/x"), false),
            (concat!("${X}/", "home/x"), false),
        ] {
            assert_eq!(complaints("a.txt", line).len(), usize::from(found), "{line}");
        }
    }
}
