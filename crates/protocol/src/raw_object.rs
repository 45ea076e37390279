use serde::de::{MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;

/// A JSON object of which only the names are read: members in the order they came, each value as the
/// text that was sent. Of a name that stands there twice the last value counts, at the first place.
///
/// The text is checked for syntax only; what every parser accepts is decided by
/// [`Payload`](crate::Payload).
#[derive(Clone, Debug, Default)]
pub struct RawObject<'a> {
    members: Vec<(Cow<'a, str>, Cow<'a, RawValue>)>,
}

impl<'a> RawObject<'a> {
    /// Reads the members of an object.
    ///
    /// # Errors
    /// The text is no JSON object; the parser's finding, with line and column.
    pub fn parse(text: &'a str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// The value of a member.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&RawValue> {
        let mut members = self.members.iter();
        let found = members.find(|(known, _)| known == name);
        found.map(|(_, value)| &**value)
    }

    /// Sets a member, at its place or behind the others.
    pub fn set(&mut self, name: &'a str, value: Box<RawValue>) {
        let value = Cow::Owned(value);
        match self.members.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) => *known = value,
            None => self.members.push((Cow::Borrowed(name), value)),
        }
    }

    /// All members, in order.
    pub fn members(&self) -> impl Iterator<Item = (&str, &RawValue)> {
        let members = self.members.iter();
        members.map(|(name, value)| (&**name, &**value))
    }
}

impl Serialize for RawObject<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.members.len()))?;
        for (name, value) in self.members() {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for RawObject<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Members)
    }
}

/// A name, borrowed where it has no escapes.
#[derive(Deserialize)]
#[serde(transparent)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = RawObject<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut builder = Builder::default();
        while let Some((Name(name), value)) = members.next_entry::<Name<'de>, &'de RawValue>()? {
            builder.add(name, Cow::Borrowed(value));
        }
        Ok(builder.object)
    }
}

/// Finds repeated names, of which there may be as many as fit into a body.
#[derive(Default)]
struct Builder<'a> {
    object: RawObject<'a>,
    places: HashMap<Cow<'a, str>, usize>,
}

impl<'a> Builder<'a> {
    fn add(&mut self, name: Cow<'a, str>, value: Cow<'a, RawValue>) {
        let members = &mut self.object.members;
        match self.places.entry(name.clone()) {
            Entry::Occupied(at) => members[*at.get()].1 = value,
            Entry::Vacant(free) => {
                free.insert(members.len());
                members.push((name, value));
            }
        }
    }
}

impl<'a> FromIterator<(&'a str, Cow<'a, RawValue>)> for RawObject<'a> {
    fn from_iter<I: IntoIterator<Item = (&'a str, Cow<'a, RawValue>)>>(members: I) -> Self {
        let mut builder = Builder::default();
        for (name, value) in members {
            builder.add(Cow::Borrowed(name), value);
        }
        builder.object
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_stay_as_they_were_sent() {
        let text = r#"{"b": [1, 1e999],"a":{"\ud800":0} , "\u0062\n":null}"#;
        let mut object = RawObject::parse(text).unwrap();
        let names: Vec<_> = object.members().map(|(name, _)| name).collect();
        assert_eq!(names, ["b", "a", "b\n"]);
        assert_eq!(object.get("a").unwrap().get(), r#"{"\ud800":0}"#);
        object.set("a", RawValue::from_string("7".to_owned()).unwrap());
        object.set("c", RawValue::NULL.to_owned());
        let written = serde_json::to_string(&object).unwrap();
        assert_eq!(written, r#"{"b":[1, 1e999],"a":7,"b\n":null,"c":null}"#);
    }

    #[test]
    fn of_repeated_names_the_last_counts() {
        let object = RawObject::parse(r#"{"a":1,"b":2,"\u0061":3}"#).unwrap();
        let written = serde_json::to_string(&object).unwrap();
        assert_eq!(written, r#"{"a":3,"b":2}"#);
    }

    #[test]
    fn only_objects_have_members() {
        for text in ["", "[]", "1", "{", r#"{"a"}"#, r#"{"a":1} x"#] {
            assert!(RawObject::parse(text).is_err(), "{text}");
        }
    }
}
