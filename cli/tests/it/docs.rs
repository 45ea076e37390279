//! Runs every `sh` example of the README and of docs/, page by page against a fresh broker, and
//! compares what it prints with the block that follows. `…` stands for anything.

use crate::support::{Up, binaries, root};
use std::fs;
use std::path::Path;
use std::process::Command;

#[derive(Debug, Default)]
struct Example {
    line: usize,
    commands: String,
    expected: Option<String>,
}

/// The `sh` blocks of a page, each with the `json` or `text` block right behind it.
fn examples(page: &str) -> Vec<Example> {
    let mut examples: Vec<Example> = Vec::new();
    let mut block: Option<(&str, usize, String)> = None;
    let mut follows_commands = false;
    for (line, text) in (1..).zip(page.lines()) {
        match (&mut block, text.strip_prefix("```")) {
            (None, Some(language)) => block = Some((language, line, String::new())),
            (None, None) => follows_commands &= text.trim().is_empty(),
            (Some((_, _, content)), None) => {
                content.push_str(text);
                content.push('\n');
            }
            (Some(_), Some(_)) => {
                let Some((language, line, content)) = block.take() else {
                    continue;
                };
                match language {
                    "sh" => examples.push(Example {
                        line,
                        commands: content,
                        expected: None,
                    }),
                    "json" | "text" if follows_commands => {
                        examples.last_mut().unwrap().expected = Some(content);
                    }
                    _ => {}
                }
                follows_commands = language == "sh";
            }
        }
    }
    examples
}

/// Whether `found` is `expected`, where `…` stands for anything.
fn matches(expected: &str, found: &str) -> bool {
    let parts: Vec<&str> = expected.trim().split('…').collect();
    let (Some(first), Some(last)) = (parts.first(), parts.last()) else {
        return false;
    };
    let Some(mut rest) = found.trim().strip_prefix(first) else {
        return false;
    };
    if parts.len() == 1 {
        return rest.is_empty();
    }
    for part in &parts[1..parts.len() - 1] {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

fn run(broker: &Up, commands: &str) -> Result<String, String> {
    let commands = commands.replace("127.0.0.1:5000", broker.address());
    let path = format!(
        "{}:{}",
        binaries().display(),
        std::env::var("PATH").unwrap()
    );
    let output = Command::new("bash")
        .args(["-euo", "pipefail", "-c", &commands])
        .current_dir(broker.directory())
        .env("PATH", path)
        .env("WEIR_BROKER", format!("http://{}", broker.address()))
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    match output.status.success() {
        true => Ok(printed),
        false => Err(format!("{}\n{printed}{errors}", output.status)),
    }
}

fn check_page(path: &Path) -> usize {
    let page = fs::read_to_string(path).unwrap();
    let examples = examples(&page);
    if examples.is_empty() {
        return 0;
    }
    let broker = Up::start();
    for example in &examples {
        let place = format!("{}:{}", path.display(), example.line);
        let printed = run(&broker, &example.commands)
            .unwrap_or_else(|failure| panic!("{place} failed: {failure}"));
        if let Some(expected) = &example.expected {
            assert!(
                matches(expected, &printed),
                "{place} promises\n{expected}\nbut prints\n{printed}"
            );
        }
    }
    examples.len()
}

#[test]
fn slow_every_example_of_the_documentation_works() {
    for binary in ["weir-broker", "weir-agent"] {
        let built = binaries().join(binary).exists();
        assert!(built, "build it first: cargo build -p {binary}");
    }
    let folders =
        ["docs", "docs/dialects"].map(|folder| fs::read_dir(root().join(folder)).unwrap());
    let pages = folders.into_iter().flatten();
    let pages = pages.map(|entry| entry.unwrap().path());
    let pages = pages.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    let run: usize = pages
        .chain([root().join("README.md")])
        .map(|path| check_page(&path))
        .sum();
    assert!(
        run >= 20,
        "only {run} examples were found: is the reader of pages broken?"
    );
}

#[test]
fn an_example_that_prints_something_else_is_noticed() {
    assert!(matches("{\"a\":…,\"b\":2}", "{\"a\":17,\"b\":2}\n"));
    assert!(!matches("{\"a\":…,\"b\":2}", "{\"a\":17,\"b\":3}"));
    assert!(!matches("one", "one more"));
    assert!(matches("…\nend", "anything\nat all\nend"));
    let page = "```sh\ntrue\n```\n```json\n1\n```\n\ntext\n\n```text\n2\n```\n";
    let examples = examples(page);
    assert_eq!(examples.len(), 1);
    assert_eq!(examples[0].expected.as_deref(), Some("1\n"));
}
