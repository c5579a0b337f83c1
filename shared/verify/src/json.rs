//! One level of a JSON object, with every value kept as it was written.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error, IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;

/// The members of one JSON object; each value is its own text.
#[derive(Debug)]
pub(crate) struct Object<'d>(BTreeMap<Cow<'d, str>, &'d RawValue>);

/// Why a text is no object, for [`Object::strict`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    NotJson,
    NotAnObject,
    DuplicateKey,
}

impl<'d> Object<'d> {
    /// The envelope: two members of one name are an error, since readers disagree on which one counts.
    pub fn strict(text: &'d str) -> Result<Self, Trouble> {
        if !text.trim_start_matches([' ', '\t', '\n', '\r']).starts_with('{') {
            // Whole, so that "no object" is told from "no JSON".
            return Err(serde_json::from_str::<IgnoredAny>(text).map_or(Trouble::NotJson, |_| Trouble::NotAnObject));
        }
        let members: Members = serde_json::from_str(text).map_err(|_| Trouble::NotJson)?;
        let count = members.0.len();
        let object = Object(members.0.into_iter().collect());
        if object.0.len() == count { Ok(object) } else { Err(Trouble::DuplicateKey) }
    }

    /// A member that is an object. Of two members of one name the last counts, as in every common parser.
    pub fn object(&self, name: &str) -> Option<Object<'d>> {
        let members: Members = serde_json::from_str(self.get(name)?.get()).ok()?;
        Some(Object(members.0.into_iter().collect()))
    }

    /// A member of a member, both objects; large ones are read once, not once per level.
    pub fn object_in(&self, outer: &str, name: &str) -> Option<Object<'d>> {
        let mut text = serde_json::Deserializer::from_str(self.get(outer)?.get());
        match Within(name).deserialize(&mut text) {
            Ok(members) => members.map(|members| Object(members.0.into_iter().collect())),
            // The name stands there twice, and not for an object each time: the last one counts here too.
            Err(_) => self.object(outer)?.object(name),
        }
    }

    /// All members, by name.
    pub fn members(&self) -> impl Iterator<Item = (&str, &'d RawValue)> {
        self.0.iter().map(|(name, value)| (name.as_ref(), *value))
    }

    /// A member that is there and not null.
    pub fn get(&self, name: &str) -> Option<&'d RawValue> {
        self.0.get(name).copied().filter(|value| value.get() != "null")
    }

    /// A member that is a string.
    pub fn string(&self, name: &str) -> Option<Cow<'d, str>> {
        string(self.get(name)?)
    }

    /// A member that is a string or a whole number, as text: the ways in which platforms write ids.
    pub fn id(&self, name: &str) -> Option<Cow<'d, str>> {
        let value = self.get(name)?;
        string(value).or_else(|| integer(value).map(Cow::Borrowed)).filter(|id| !id.is_empty())
    }

    /// A member that is a number, or a string that spells one: the digits as written.
    pub fn decimal(&self, name: &str) -> Option<Cow<'d, str>> {
        let value = self.get(name)?;
        match value.get().as_bytes().first()? {
            b'-' | b'0'..=b'9' => Some(Cow::Borrowed(value.get())),
            _ => string(value).filter(|text| {
                text.starts_with(['-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9'])
                    && serde_json::from_str::<&RawValue>(text).is_ok_and(|number| number.get() == text)
            }),
        }
    }

    /// A member that is a whole number that fits.
    pub fn integer(&self, name: &str) -> Option<i64> {
        integer(self.get(name)?)?.parse().ok()
    }
}

/// The string that this value is.
pub(crate) fn string(value: &RawValue) -> Option<Cow<'_, str>> {
    serde_json::from_str::<Text>(value.get()).ok().map(|text| text.0)
}

fn integer(value: &RawValue) -> Option<&str> {
    let text = value.get();
    text.bytes().all(|b| b.is_ascii_digit() || b == b'-').then_some(text)
}

/// Reads the members of one member, and of the others only where they end.
struct Within<'n>(&'n str);

impl<'de> DeserializeSeed<'de> for Within<'_> {
    type Value = Option<Members<'de>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Within<'_> {
    type Value = Option<Members<'de>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = None;
        while let Some(name) = map.next_key::<Text<'de>>()? {
            if name.0 == self.0 {
                members = Some(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(members)
    }
}

#[derive(Deserialize)]
struct Text<'d>(#[serde(borrow)] Cow<'d, str>);

struct Members<'d>(Vec<(Cow<'d, str>, &'d RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;

        impl<'de> Visitor<'de> for Collect {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(name) = map.next_key::<Text<'de>>()? {
                    members.push((name.0, map.next_value()?));
                }
                Ok(Members(members))
            }

            fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
                Err(E::custom("null"))
            }
        }

        deserializer.deserialize_map(Collect)
    }
}

#[cfg(test)]
mod tests {
    use super::Object;

    #[test]
    fn reading_two_levels_at_once_is_reading_them_one_by_one() {
        for data in [
            r#"{"object":{"id":1}}"#,
            r#"{"a":[{"object":2}],"object":{"id":{"id":3}},"z":0}"#,
            r#"{"object":{"id":1},"object":{"id":2}}"#,
            r#"{"object":1,"object":{"id":2}}"#,
            r#"{"object":{"id":1},"object":"no"}"#,
            r#"{"object":null}"#,
            r#"{"other":{}}"#,
            "{}",
            "[]",
            "null",
            r#"{"ob\u006aect":{"id":1}}"#,
        ] {
            let text = format!(r#"{{"data":{data}}}"#);
            let envelope = Object::strict(&text).unwrap();
            let id = |object: Option<Object<'_>>| object.map(|object| object.get("id").map(|id| id.get().to_owned()));
            let one_by_one = envelope.object("data").and_then(|data| data.object("object"));
            assert_eq!(id(envelope.object_in("data", "object")), id(one_by_one), "{data}");
        }
        assert!(Object::strict("{}").unwrap().object_in("data", "object").is_none());
    }
}
