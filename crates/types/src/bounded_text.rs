use thiserror::Error;

/// Why a short text (a key, an id, a group name) was refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidText {
    /// Nothing was given.
    #[error("{what} must not be empty")]
    Empty {
        /// What the text is for.
        what: &'static str,
    },
    /// Longer than allowed.
    #[error("{what} has {length_bytes} bytes; at most {max_bytes} are allowed")]
    TooLong {
        /// What the text is for.
        what: &'static str,
        /// Its length in bytes of UTF-8.
        length_bytes: usize,
        /// The limit.
        max_bytes: usize,
    },
    /// A control character, which would break line-based formats such as SSE.
    #[error("{what} contains the control character U+{code_point:04X} at byte {position}")]
    ControlCharacter {
        /// What the text is for.
        what: &'static str,
        /// The character.
        code_point: u32,
        /// Where it stands, in bytes from the start.
        position: usize,
    },
}

/// Checks that `text` has 1 to `max_bytes` bytes and no control characters.
pub(crate) fn check(what: &'static str, text: &str, max_bytes: usize) -> Result<(), InvalidText> {
    if text.is_empty() {
        return Err(InvalidText::Empty { what });
    }
    if text.len() > max_bytes {
        return Err(InvalidText::TooLong {
            what,
            length_bytes: text.len(),
            max_bytes,
        });
    }
    match text.char_indices().find(|(_, c)| c.is_control()) {
        Some((position, c)) => Err(InvalidText::ControlCharacter {
            what,
            code_point: u32::from(c),
            position,
        }),
        None => Ok(()),
    }
}
