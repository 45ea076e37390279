//! A quick look at JSON text: accepts most of what is valid, and nothing that is not.
//!
//! It keeps nothing, unescapes nothing and parses no number, so it takes a fraction of the time of
//! [`check_json`](crate::check_json). That one decides on everything that is not accepted here, such
//! as surrogates, exponents and very long numbers, and words every refusal.

use memchr::memchr2;
use weir_types::limits::MAX_PAYLOAD_DEPTH;

/// A number of so few characters, without an exponent, fits a double.
const MAX_NUMBER_BYTES: usize = 300;

/// Whether `text` is exactly one JSON value, as far as a quick look can tell.
pub(crate) fn is_plain_json(text: &str) -> bool {
    let mut scanner = Scanner::new(text);
    scanner.white_space();
    scanner.value(0).is_some() && scanner.at_end()
}

/// Stands before the next token. Methods that return `None` may stop anywhere.
pub(crate) struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// Whether nothing but white space is left.
    pub(crate) fn at_end(&mut self) -> bool {
        self.white_space();
        self.at == self.text.len()
    }

    /// Passes over white space and `token`.
    pub(crate) fn token(&mut self, token: u8) -> Option<()> {
        self.white_space();
        self.byte(token)
    }

    /// Passes over a string and returns its text, if it has no escapes.
    pub(crate) fn plain_string(&mut self) -> Option<&'a str> {
        self.white_space();
        let start = self.at + 1;
        self.string()?;
        let content = &self.text[start..self.at - 1];
        (!content.contains('\\')).then_some(content)
    }

    /// Passes over a value and returns its text, without the white space around it.
    pub(crate) fn value_text(&mut self) -> Option<&'a str> {
        self.white_space();
        let start = self.at;
        self.value(0)?;
        Some(&self.text[start..self.at])
    }

    fn rest(&self) -> &'a [u8] {
        &self.text.as_bytes()[self.at..]
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn byte(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    fn white_space(&mut self) {
        while let Some(b' ' | b'\t' | b'\r' | b'\n') = self.peek() {
            self.at += 1;
        }
    }

    /// `depth` arrays and objects are open around the value.
    fn value(&mut self, depth: usize) -> Option<()> {
        match self.peek()? {
            b'"' => self.string(),
            b'{' => self.object(depth),
            b'[' => self.array(depth),
            b't' => self.word("true"),
            b'f' => self.word("false"),
            b'n' => self.word("null"),
            _ => self.number(),
        }
    }

    fn object(&mut self, depth: usize) -> Option<()> {
        self.items(depth, b'}', |scanner| {
            scanner.string()?;
            scanner.token(b':')?;
            scanner.white_space();
            scanner.value(depth + 1)
        })
    }

    fn array(&mut self, depth: usize) -> Option<()> {
        self.items(depth, b']', |scanner| scanner.value(depth + 1))
    }

    /// The items between the opening byte, on which it stands, and `close`.
    fn items(
        &mut self,
        depth: usize,
        close: u8,
        item: impl Fn(&mut Self) -> Option<()>,
    ) -> Option<()> {
        if depth == MAX_PAYLOAD_DEPTH {
            return None;
        }
        self.at += 1;
        if self.token(close).is_some() {
            return Some(());
        }
        loop {
            self.white_space();
            item(self)?;
            if self.token(close).is_some() {
                return Some(());
            }
            self.byte(b',')?;
        }
    }

    fn string(&mut self) -> Option<()> {
        self.byte(b'"')?;
        loop {
            let rest = self.rest();
            let plain = memchr2(b'"', b'\\', rest)?;
            if has_control_character(&rest[..plain]) {
                return None;
            }
            self.at += plain + 1;
            if rest[plain] == b'"' {
                return Some(());
            }
            self.escape()?;
        }
    }

    /// What follows a backslash.
    fn escape(&mut self) -> Option<()> {
        match self.rest() {
            [b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] => self.at += 1,
            [b'u', digits @ ..] if is_no_surrogate(digits.first_chunk()?) => self.at += 5,
            _ => return None,
        }
        Some(())
    }

    fn word(&mut self, word: &str) -> Option<()> {
        self.rest()
            .starts_with(word.as_bytes())
            .then(|| self.at += word.len())
    }

    fn number(&mut self) -> Option<()> {
        let start = self.at;
        let _positive = self.byte(b'-');
        let whole = self.digits();
        let leading_zero = whole > 1 && self.text.as_bytes()[self.at - whole] == b'0';
        if whole == 0 || leading_zero || (self.byte(b'.').is_some() && self.digits() == 0) {
            return None;
        }
        let has_exponent = matches!(self.peek(), Some(b'e' | b'E'));
        (!has_exponent && self.at - start <= MAX_NUMBER_BYTES).then_some(())
    }

    /// Passes over digits, and returns how many.
    fn digits(&mut self) -> usize {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        self.at - start
    }
}

/// Looks at every byte, without a branch for each: compilers make that many bytes at a time.
fn has_control_character(text: &[u8]) -> bool {
    text.iter().fold(false, |found, &b| found | (b < 0x20))
}

fn is_no_surrogate(digits: &[u8; 4]) -> bool {
    let is_surrogate = matches!(
        digits,
        [b'd' | b'D', b'8'..=b'9' | b'a'..=b'f' | b'A'..=b'F', ..]
    );
    digits.iter().all(u8::is_ascii_hexdigit) && !is_surrogate
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check_json;
    use proptest::prelude::*;

    #[test]
    fn ordinary_documents_are_accepted() {
        for text in [
            "null",
            " true ",
            "false",
            "-0",
            "0.5",
            "18446744073709551615",
            "\"\"",
            r#""grüße \" \\ \/ \b \f \n \r \t \u0000 \uFFFF \ud7ff""#,
            "[]",
            "[ ]",
            "{ }",
            "{\"a\" : [1,\r\n\t{}], \"b\":{\"c\":null}, \"a\":2}",
        ] {
            assert!(is_plain_json(text), "{text}");
        }
    }

    #[test]
    fn what_is_invalid_or_rare_is_left_to_the_judge() {
        for text in [
            "",
            " ",
            "tru",
            "nul",
            "NaN",
            "+1",
            "-",
            "01",
            "-01",
            "1.",
            ".5",
            "1e5",
            "1E400",
            "1 2",
            "[",
            "[1",
            "[1,]",
            "[,1]",
            "[1 2]",
            "{",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{a:1}",
            "{\"a\":1 \"b\":2}",
            "]",
            "\"",
            "\"\\\"",
            "\"\\x\"",
            "\"\\u12g4\"",
            "\"\\u12",
            "\"a\nb\"",
            r#""\ud800""#,
            r#""\uDFFF""#,
            r#""\ud83d\ude00""#,
        ] {
            assert!(!is_plain_json(text), "{text}");
        }
        assert!(!is_plain_json(&"9".repeat(MAX_NUMBER_BYTES + 1)));
    }

    #[test]
    fn depth_is_limited_as_the_judge_limits_it() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(is_plain_json(&nested(MAX_PAYLOAD_DEPTH)));
        assert!(!is_plain_json(&nested(MAX_PAYLOAD_DEPTH + 1)));
    }

    /// JSON, with a byte changed here and there.
    fn almost_json() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            Just("null".to_owned()),
            "-?[0-9]{1,3}(\\.[0-9]{1,2})?([eE][+-]?[0-9]{1,3})?",
            "\"([a-z ]|\\\\[\"\\\\nu/]|\\\\u[0-9a-fA-F]{4}){0,6}\"",
            "[ \t\r\n]{0,2}\"\"[ \t\r\n]{0,2}",
        ];
        let value = leaf.prop_recursive(4, 32, 4, |inner| {
            let items = prop::collection::vec(inner, 0..4);
            prop_oneof![
                items
                    .clone()
                    .prop_map(|items| format!("[{}]", items.join(","))),
                items.prop_map(|items| {
                    let members = items.iter().map(|item| format!("\"k\":{item}"));
                    format!("{{{}}}", members.collect::<Vec<_>>().join(","))
                }),
            ]
        });
        let change = prop::option::of((any::<prop::sample::Index>(), "[ -~\\n]"));
        (value, change).prop_map(|(mut text, change)| {
            if let Some((index, with)) = change {
                let at = index.index(text.len());
                text.replace_range(at..=at, &with);
            }
            text
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn what_is_accepted_the_judge_accepts_too(text in almost_json()) {
            prop_assert!(!is_plain_json(&text) || check_json(&text).is_ok(), "{}", text);
        }

        #[test]
        fn what_serde_writes_is_accepted(text in ".*", number: i64) {
            let document = serde_json::json!({"text": text, "list": [number, true, null, {}]});
            prop_assert!(is_plain_json(&document.to_string()));
            prop_assert!(is_plain_json(&serde_json::to_string_pretty(&document).unwrap()));
        }
    }
}
