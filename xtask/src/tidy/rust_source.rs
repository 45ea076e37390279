//! A Rust file as the text rules see it: code without comments and literals, tests marked.
//!
//! This is a scanner, not a parser: it knows comments, strings, character literals and braces,
//! which is all that the rules need and all that formatted code can surprise them with.

use std::path::{Path, PathBuf};

const TEST_ATTRIBUTE: &str = "#[cfg(test)]";

pub(super) struct RustSource {
    /// From the root of the checkout.
    pub(super) path: PathBuf,
    pub(super) lines: Vec<CodeLine>,
    /// Whether `//!` comes before all code.
    pub(super) begins_with_module_doc: bool,
}

pub(super) struct CodeLine {
    /// From 1.
    pub(super) number: usize,
    /// The line with comments and the content of literals blanked out.
    pub(super) code: String,
    /// Compiled for tests only.
    pub(super) is_test: bool,
}

impl RustSource {
    pub(super) fn new(path: &Path, text: &str) -> Self {
        let code = blank_comments_and_literals(text);
        let mut lines: Vec<_> = code
            .lines()
            .zip(1..)
            .map(|(line, number)| CodeLine {
                number,
                code: line.to_owned(),
                is_test: is_test_file(path),
            })
            .collect();
        mark_test_items(&code, &mut lines);
        Self {
            path: path.to_owned(),
            lines,
            begins_with_module_doc: begins_with_module_doc(text),
        }
    }
}

fn begins_with_module_doc(text: &str) -> bool {
    let is_plain_comment = |line: &&str| line.starts_with("//") && !line.starts_with("//!");
    let mut lines = text.lines().filter(|line| !line.is_empty());
    let first = lines.find(|line| !is_plain_comment(line) || line.starts_with("///"));
    first.is_some_and(|line| line.starts_with("//!"))
}

fn is_test_file(path: &Path) -> bool {
    path.ends_with("tests.rs") || path.iter().any(|part| part == "tests" || part == "benches")
}

/// Marks the lines of every item under `#[cfg(test)]`, to its closing brace or semicolon.
fn mark_test_items(code: &str, lines: &mut [CodeLine]) {
    for (start, _) in code.match_indices(TEST_ATTRIBUTE) {
        let end = start + TEST_ATTRIBUTE.len();
        let end = end + item_length(&code[end..]);
        let line_at = |position: usize| code[..position].matches('\n').count();
        for line in &mut lines[line_at(start)..=line_at(end)] {
            line.is_test = true;
        }
    }
}

/// The position of the semicolon or closing brace that ends the item.
fn item_length(code: &str) -> usize {
    let mut depth = 0_usize;
    for (position, character) in code.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth <= 1 => return position,
            '}' => depth -= 1,
            ';' if depth == 0 => return position,
            _ => {}
        }
    }
    // An item that never ends: to the last character, so that the position stays inside a line.
    code.trim_end().len().saturating_sub(1)
}

/// The same text with the same line breaks, comments and the content of literals made spaces.
fn blank_comments_and_literals(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let literal = literal_length(rest, &code);
        if literal > 0 {
            let blank = |c| if c == '\n' { '\n' } else { ' ' };
            code.extend(rest[..literal].chars().map(blank));
            rest = &rest[literal..];
        } else {
            code.push(character);
            rest = &rest[character.len_utf8()..];
        }
    }
    code
}

/// How many bytes of comment or literal `rest` begins with; `before` is the code to its left.
fn literal_length(rest: &str, before: &str) -> usize {
    let in_word = before.ends_with(|c: char| c.is_alphanumeric() || c == '_');
    if rest.starts_with("//") {
        rest.find('\n').unwrap_or(rest.len())
    } else if rest.starts_with("/*") {
        block_comment_length(rest)
    } else if rest.starts_with('"') {
        quoted_length(rest, '"')
    } else if rest.starts_with('\'') {
        character_length(rest)
    } else if rest.starts_with('r') && !in_word || rest.starts_with('r') && before.ends_with('b') {
        raw_string_length(rest)
    } else {
        0
    }
}

fn block_comment_length(rest: &str) -> usize {
    let mut depth = 0_usize;
    let mut position = 0;
    while position < rest.len() {
        let here = &rest.as_bytes()[position..];
        if here.starts_with(b"/*") {
            (depth, position) = (depth + 1, position + 2);
        } else if here.starts_with(b"*/") {
            (depth, position) = (depth - 1, position + 2);
            if depth == 0 {
                return position;
            }
        } else {
            position += 1;
        }
    }
    rest.len()
}

/// From an opening quote past its closing one, heeding backslashes.
fn quoted_length(rest: &str, quote: char) -> usize {
    let mut characters = rest.char_indices().skip(1);
    while let Some((position, character)) = characters.next() {
        if character == '\\' {
            characters.next();
        } else if character == quote {
            return position + quote.len_utf8();
        }
    }
    rest.len()
}

/// A character literal, or 0 for a lifetime.
fn character_length(rest: &str) -> usize {
    let mut characters = rest.chars().skip(1);
    let is_literal = match (characters.next(), characters.next()) {
        (Some('\\'), _) => true,
        (Some(_), second) => second == Some('\''),
        (None, _) => false,
    };
    if is_literal {
        quoted_length(rest, '\'')
    } else {
        0
    }
}

/// `r"…"`, `r#"…"#` and so on, or 0 for anything else that begins with r.
fn raw_string_length(rest: &str) -> usize {
    let after_r = &rest[1..];
    let hashes = after_r.len() - after_r.trim_start_matches('#').len();
    if !after_r[hashes..].starts_with('"') {
        return 0;
    }
    let closing = format!("\"{}", "#".repeat(hashes));
    let content = 1 + hashes + 1;
    let end = rest[content..].find(&closing);
    end.map_or(rest.len(), |end| content + end + closing.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> String {
        let blanked = blank_comments_and_literals(text);
        blanked.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn comments_and_literals_are_blanked() {
        assert_eq!(code("a // b\nc"), "a c");
        assert_eq!(code("a /* b /* c */ d */ e"), "a e");
        assert_eq!(code(r#"f("x \" y") + g"#), "f( ) + g");
        assert_eq!(code("f(r#\"x \" y\"#) + g"), "f( ) + g");
        assert_eq!(code("f(br\"x\\\") + g"), "f(b ) + g");
        assert_eq!(code(r"m('{', '\'', 'ß') + g"), "m( , , ) + g");
        assert_eq!(code("a \"unterminated"), "a");
    }

    #[test]
    fn lifetimes_and_words_with_r_are_code() {
        assert_eq!(code("fn f<'a>(x: &'a str) {}"), "fn f<'a>(x: &'a str) {}");
        assert_eq!(code("for r in rows {}"), "for r in rows {}");
        assert_eq!(code("let r#type = 1;"), "let r#type = 1;");
    }

    #[test]
    fn lines_keep_their_numbers() {
        let source = RustSource::new(Path::new("x.rs"), "/* one\ntwo */ a\n\"three\nfour\" b\n");
        let seen: Vec<_> = source
            .lines
            .iter()
            .map(|l| (l.number, l.code.trim()))
            .collect();
        assert_eq!(seen, [(1, ""), (2, "a"), (3, ""), (4, "b")]);
    }

    #[test]
    fn an_item_for_tests_ends_at_its_brace_or_semicolon() {
        let text =
            "a\n#[cfg(test)]\nmod tests {\n  fn f() { '}' }\n}\nb\n#[cfg(test)]\nmod t;\nc\n";
        let source = RustSource::new(Path::new("x.rs"), text);
        let tests = source.lines.iter().filter(|line| line.is_test);
        assert_eq!(
            tests.map(|line| line.number).collect::<Vec<_>>(),
            [2, 3, 4, 5, 7, 8]
        );
    }

    #[test]
    fn an_unfinished_item_for_tests_does_not_trip_the_scanner() {
        for text in [
            "#[cfg(test)]",
            "#[cfg(test)]\n",
            "#[cfg(test)]\nmod tests {\n",
        ] {
            RustSource::new(Path::new("x.rs"), text);
        }
    }

    #[test]
    fn test_files_are_known_by_their_place() {
        assert!(is_test_file(Path::new("broker/tests/it/publish.rs")));
        assert!(is_test_file(Path::new("broker/src/group/tests.rs")));
        assert!(!is_test_file(Path::new("broker/src/group/lease.rs")));
    }
}
