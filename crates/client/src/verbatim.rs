use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use weir_protocol::shapes::Gap;

/// A message together with the JSON it came as, for those who pass it on whole: the JSON also has
/// the fields that this version does not know.
#[derive(Clone, Debug)]
pub struct Verbatim<M> {
    /// The message.
    pub message: M,
    /// The object it was read from.
    pub json: Box<RawValue>,
}

impl<'de, M: DeserializeOwned> Deserialize<'de> for Verbatim<M> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = Box::<RawValue>::deserialize(deserializer)?;
        let message = serde_json::from_str(json.get()).map_err(D::Error::custom)?;
        Ok(Self { message, json })
    }
}

/// `{"messages":[…],"next":…}`, each message kept as it came.
#[derive(Deserialize)]
#[serde(bound = "M: DeserializeOwned")]
pub(crate) struct VerbatimMessages<M> {
    pub(crate) messages: Vec<Verbatim<M>>,
    #[serde(default)]
    pub(crate) gaps: Vec<Gap>,
    #[serde(default)]
    pub(crate) next: String,
}
