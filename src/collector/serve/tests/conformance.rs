//! The table of what OTLP asks names tests that are there.

use std::path::Path;

#[test]
fn every_rule_of_otlp_has_a_test() {
    let collector = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut rules = 0;
    for line in include_str!("otlp.md").lines() {
        let Some((_, tests)) = line.trim_end_matches('|').rsplit_once('|') else { continue };
        for test in tests.split(',').filter(|test| test.contains('`')) {
            let words: Vec<&str> = test.split('`').skip(1).step_by(2).collect();
            let (folder, file, name) = match words[..] {
                [file, name] => ("serve", file, name),
                ["formats", file, name] => ("../formats/otlp/tests", file, name),
                ["tests", file, name] => ("../../tests/end_to_end", file, name),
                _ => panic!("{line}"),
            };
            let text = std::fs::read_to_string(collector.join(folder).join(file)).expect(file);
            assert!(text.contains(&format!("fn {name}(")), "{file} has no test {name}");
            rules += 1;
        }
    }
    assert!(rules > 30, "{rules}");
}
