//! Levels of a JSON object, with every value kept as it was written.

use std::{borrow::Cow, collections::BTreeMap, fmt, iter};

use serde::{
    Deserialize, Deserializer,
    de::{
        DeserializeSeed, Error, IgnoredAny, MapAccess, Visitor,
        value::{self, BorrowedStrDeserializer, MapDeserializer},
    },
    forward_to_deserialize_any,
};
use serde_json::value::RawValue;

/// The members of one JSON object; each value is its own text.
#[derive(Debug)]
pub(crate) struct Object<'d>(BTreeMap<Cow<'d, str>, &'d RawValue>);

/// The payload of an envelope.
#[derive(Debug)]
pub(crate) struct Payload<'d> {
    /// All of it.
    pub text: &'d RawValue,
    /// The object that it is, or that it wraps.
    pub object: Object<'d>,
}

/// Why a text is not an object, for [`Object::strict`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    NotJson,
    NotAnObject,
    DuplicateKey,
}

/// The envelope, and the payload in it: the dotted `path` leads to the object that the event is about, and the payload is
/// the envelope's member that holds it. An empty path leads to the envelope itself, and to no payload beside it. Two
/// members of one name are an error in the envelope, where readers would disagree on which counts.
pub(crate) fn envelope<'d>(text: &'d str, path: &str) -> Result<(Object<'d>, Option<Payload<'d>>), Trouble> {
    if path.is_empty() {
        return Ok((Object::strict(text)?, None));
    }
    // A large payload is read once, not once per level.
    if let Some(Level { members, payload }) = Level::read(text, Some(path)) {
        return Ok((Object::unique(members)?, payload));
    }
    // Level by level in unusual cases: no payload object, or its name spelled with escapes.
    let envelope = Object::strict(text)?;
    let mut names = path.split('.');
    let payload = names.next().and_then(|name| {
        let object = names.try_fold(envelope.object(name)?, |object, name| object.object(name))?;
        Some(Payload { text: envelope.get(name)?, object })
    });
    Ok((envelope, payload))
}

/// A text that was parsed already, as one value. None if it is not JSON.
pub(crate) fn whole(text: &str) -> Option<&RawValue> {
    <&RawValue>::deserialize(Valid(text.trim_matches(WHITE))).ok()
}

impl<'d> Object<'d> {
    /// An object that names no member twice.
    pub fn strict(text: &'d str) -> Result<Self, Trouble> {
        if !text.trim_start_matches(WHITE).starts_with('{') {
            // The whole text, to distinguish "not an object" from "not JSON".
            return Err(serde_json::from_str::<IgnoredAny>(text).map_or(Trouble::NotJson, |_| Trouble::NotAnObject));
        }
        Object::unique(Level::read(text, None).ok_or(Trouble::NotJson)?.members)
    }

    fn unique(members: Members<'d>) -> Result<Self, Trouble> {
        let count = members.len();
        let object = Object::from(members);
        if object.0.len() == count { Ok(object) } else { Err(Trouble::DuplicateKey) }
    }

    /// A member that is an object. Of two members of one name the last counts, as in every common parser.
    pub fn object(&self, name: &str) -> Option<Object<'d>> {
        Level::read(self.get(name)?.get(), None).map(|level| Object::from(level.members))
    }

    /// All members, by name.
    pub fn members(&self) -> impl Iterator<Item = (&str, &'d RawValue)> {
        self.0.iter().map(|(name, value)| (name.as_ref(), *value))
    }

    /// A member that exists and is not null.
    pub fn get(&self, name: &str) -> Option<&'d RawValue> {
        self.0.get(name).copied().filter(|value| value.get() != "null")
    }

    /// The value at a dotted path, if it exists and is not null.
    pub fn at(&self, path: &str) -> Option<&'d RawValue> {
        match path.split_once('.') {
            None => self.get(path),
            Some((name, rest)) => self.object(name)?.at(rest),
        }
    }

    /// The first of these paths that leads to something `usable`.
    pub fn first<T>(&self, paths: &[&str], usable: impl Fn(&'d RawValue) -> Option<T>) -> Option<T> {
        paths.iter().find_map(|path| usable(self.at(path)?))
    }
}

/// The string that this value is.
pub(crate) fn string(value: &RawValue) -> Option<Cow<'_, str>> {
    serde_json::from_str::<Text>(value.get()).ok().map(|text| text.0)
}

/// A string or a whole number, as text: the ways in which platforms write ids.
pub(crate) fn id(value: &RawValue) -> Option<Cow<'_, str>> {
    string(value).or_else(|| integer(value).map(Cow::Borrowed)).filter(|id| !id.is_empty())
}

/// A number, or a string that spells one: the digits as written.
pub(crate) fn decimal(value: &RawValue) -> Option<Cow<'_, str>> {
    match value.get().as_bytes().first()? {
        b'-' | b'0'..=b'9' => Some(Cow::Borrowed(value.get())),
        _ => string(value).filter(|text| {
            text.starts_with(['-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9'])
                && serde_json::from_str::<&RawValue>(text).is_ok_and(|number| number.get() == text)
        }),
    }
}

/// A whole number, as written.
pub(crate) fn integer(value: &RawValue) -> Option<&str> {
    let text = value.get();
    text.bytes().all(|b| b.is_ascii_digit() || b == b'-').then_some(text)
}

/// JSON's white space.
const WHITE: [char; 4] = [' ', '\t', '\n', '\r'];

type Members<'d> = Vec<(Cow<'d, str>, &'d RawValue)>;

impl<'d> From<Members<'d>> for Object<'d> {
    fn from(members: Members<'d>) -> Self {
        Object(members.into_iter().collect())
    }
}

/// One level as it is read: the members in their order, and what the path led to.
struct Level<'d> {
    members: Members<'d>,
    payload: Option<Payload<'d>>,
}

/// Reads a level of `text`, and in the same pass the levels on the path.
struct Reader<'d, 'p> {
    text: &'d str,
    path: Option<&'p str>,
}

impl<'d> Level<'d> {
    /// None if the text is not a JSON object, or if the path does not lead to one.
    fn read(text: &'d str, path: Option<&str>) -> Option<Self> {
        let mut json = serde_json::Deserializer::from_str(text);
        let level = Reader { text, path }.deserialize(&mut json).ok()?;
        json.end().ok().map(|()| level)
    }
}

impl<'d> DeserializeSeed<'d> for Reader<'d, '_> {
    type Value = Level<'d>;

    fn deserialize<D: Deserializer<'d>>(self, deserializer: D) -> Result<Level<'d>, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'d> Visitor<'d> for Reader<'d, '_> {
    type Value = Level<'d>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'d>>(self, mut map: A) -> Result<Level<'d>, A::Error> {
        let (mut members, mut payload) = (Members::new(), None);
        let path = self.path.map(|path| path.split_once('.').map_or((path, None), |(next, rest)| (next, Some(rest))));
        while let Some(Text(name)) = map.next_key()? {
            let value = match path {
                Some((next, path)) if name == next => {
                    let inner = map.next_value_seed(Reader { text: self.text, path })?;
                    let text = written(self.text, &name, &inner.members);
                    let text = text.ok_or_else(|| A::Error::custom("not where it was looked for"))?;
                    payload = match inner.payload {
                        None if path.is_none() => Some(Payload { text, object: inner.members.into() }),
                        wrapped => wrapped.map(|Payload { object, .. }| Payload { text, object }),
                    };
                    text
                }
                _ => map.next_value()?,
            };
            members.push((name, value));
        }
        Ok(Level { members, payload })
    }
}

/// The text of the object that was just read, from the brace after its name to the one after its last member. None if the name
/// is spelled with escapes: then it is not a slice of the text.
fn written<'d>(text: &'d str, name: &Cow<'d, str>, members: &Members<'d>) -> Option<&'d RawValue> {
    let behind = |part: &'d str| text.get(part.as_ptr().addr().checked_sub(text.as_ptr().addr())? + part.len()..);
    let Cow::Borrowed(name) = *name else { return None };
    let colon = behind(name)?.strip_prefix('"')?.trim_start_matches(WHITE);
    let open = colon.strip_prefix(':')?.trim_start_matches(WHITE);
    let end = members.last().map_or(open.strip_prefix('{'), |(_, value)| behind(value.get()))?;
    let rest = end.trim_start_matches(WHITE).strip_prefix('}')?;
    let object = open.strip_suffix(rest).filter(|object| object.starts_with('{'))?;
    <&RawValue>::deserialize(Valid(object)).ok()
}

/// Makes a `RawValue` of a text that was parsed already, without another pass, as the deserializers of `serde_json` do: by a
/// map of one entry with the name that `RawValue` asks for.
struct Valid<'d>(&'d str);

impl<'de> Deserializer<'de> for Valid<'de> {
    type Error = value::Error;

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, raw: V) -> Result<V::Value, Self::Error> {
        raw.visit_map(MapDeserializer::new(iter::once((name, BorrowedStrDeserializer::new(self.0)))))
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
        Err(value::Error::custom("only a RawValue is made of this"))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct seq
        tuple tuple_struct map struct enum identifier ignored_any
    }
}

#[derive(Deserialize)]
struct Text<'d>(#[serde(borrow)] Cow<'d, str>);

#[cfg(test)]
mod tests {
    use super::{Level, Object, Trouble, envelope};

    /// Both ways of reading have the same result. Returns whether one pass was enough.
    fn both(text: &str, path: &str) -> (Option<(String, Option<String>)>, bool) {
        let (members, payload) = envelope(text, path).unwrap();
        let mut names = path.split('.');
        let payload_name = names.next().unwrap();
        let one_by_one = names.fold(members.object(payload_name), |object, name| object?.object(name));
        let id = |object: &Object<'_>| object.get("id").map(|id| id.get().to_owned());
        assert_eq!(payload.as_ref().map(|payload| id(&payload.object)), one_by_one.as_ref().map(id), "{text}");
        if let Some(payload) = &payload {
            assert_eq!(payload.text.get(), members.get(payload_name).unwrap().get(), "{text}");
            // serde_json's own result.
            assert_eq!(payload.text.get(), Object::strict(text).unwrap().get(payload_name).unwrap().get(), "{text}");
        }
        let found = payload.map(|payload| (payload.text.get().to_owned(), id(&payload.object)));
        (found, Level::read(text, Some(path)).is_some())
    }

    #[test]
    fn one_pass_reads_what_level_by_level_reads() {
        for (data, id, once) in [
            (r#"{"object":{"id":1}}"#, Some(Some("1")), true),
            (r#"{ "a" : [{"object":2}] , "object" : { "id" : {"id":3} } , "z":0 }"#, Some(Some(r#"{"id":3}"#)), true),
            (r#"{"object":{}}"#, Some(None), true),
            ("{\"object\":\t{\r\n}\n}", Some(None), true),
            (r#"{"object":{"id":"}\"{"},"z":"}"}"#, Some(Some(r#""}\"{""#)), true),
            (r#"{"object":{"id":1},"object":{"id":2}}"#, Some(Some("2")), true),
            (r#"{"object":{"id":1},"id":4,"object":{}}"#, Some(None), true),
            (r#"{"other":{}}"#, None, true),
            ("{}", None, true),
            // One by one.
            (r#"{"object":1,"object":{"id":2}}"#, Some(Some("2")), false),
            (r#"{"object":{"id":1},"object":"no"}"#, None, false),
            (r#"{"object":null}"#, None, false),
            (r#"{"object":1e999}"#, None, false),
            ("[]", None, false),
            ("null", None, false),
            (r#"{"ob\u006aect":{"id":1}}"#, Some(Some("1")), false),
        ] {
            for text in [
                format!(r#"{{"data":{data}}}"#),
                format!("{{ \"data\" \n: {data} , \"request\":{{\"data\":1}}}}"),
                format!(r#"{{"event":"data","x":{{"data":{{"object":7}}}},"data":{data}}}"#),
            ] {
                let (found, in_one) = both(&text, "data.object");
                let expected = id.map(|id| (data.to_owned(), id.map(str::to_owned)));
                assert_eq!((found, in_one), (expected, once), "{text}");
            }
            // The payload itself.
            let (found, in_one) = both(&format!(r#"{{"data":{data}}}"#), "data");
            assert_eq!((found.map(|(text, _)| text), in_one), {
                let object = data.starts_with('{');
                (object.then(|| data.to_owned()), object)
            });
        }
    }

    #[test]
    fn one_pass_is_as_strict_as_two() {
        for (text, trouble) in [
            (r#"{"data":{},"data":{}}"#, Trouble::DuplicateKey),
            (r#"{"data":{},"x":1,"\u0078":2}"#, Trouble::DuplicateKey),
            (r#"{"data":{}} x"#, Trouble::NotJson),
            (r#"{"data":{},}"#, Trouble::NotJson),
            (r#"{"data":{"a":1 "b":2}}"#, Trouble::NotJson),
            ("{\"data\":{\"a\":\"\u{1}\"}}", Trouble::NotJson),
            (r#"{"data":{"a":"\x"}}"#, Trouble::NotJson),
            (r#"[{"data":{}}]"#, Trouble::NotAnObject),
        ] {
            assert_eq!(envelope(text, "data").map(|_| ()), Err(trouble), "{text}");
        }
    }

    #[test]
    fn depth_costs_no_stack() {
        let text = format!(r#"{{"data":{{"a":{}{}}}}}"#, "[".repeat(1 << 20), "]".repeat(1 << 20));
        assert!(both(&text, "data").0.is_some());
    }
}
