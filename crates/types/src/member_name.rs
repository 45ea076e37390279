use crate::bounded_text::{self, InvalidText};
use crate::limits::MAX_MEMBER_NAME_BYTES;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// The name by which a consumer is known in its group: 1 to 80 bytes of UTF-8 without control
/// characters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MemberName(Arc<str>);

impl MemberName {
    /// Parses a member name.
    ///
    /// # Errors
    /// [`InvalidText`] says which rule was broken.
    pub fn parse(name: &str) -> Result<Self, InvalidText> {
        bounded_text::check("a member name", name, MAX_MEMBER_NAME_BYTES)?;
        Ok(Self(name.into()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MemberName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for MemberName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

impl TryFrom<String> for MemberName {
    type Error = InvalidText;
    fn try_from(name: String) -> Result<Self, InvalidText> {
        Self::parse(&name)
    }
}

impl From<MemberName> for String {
    fn from(name: MemberName) -> Self {
        name.0.as_ref().to_owned()
    }
}
