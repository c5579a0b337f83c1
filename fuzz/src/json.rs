//! A recursive JSON parser that remembers all positions. Slow, obvious, and as strict as RFC 8259.

use std::ops::Range;

/// One value, and its place in the text.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    pub span: Range<usize>,
    pub kind: Kind,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    Null,
    Bool,
    Number,
    /// None if an escape spells half a surrogate pair.
    String(Option<String>),
    Array(Vec<Node>),
    Object(Vec<Member>),
}

#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    /// The comma before it.
    pub comma: Option<usize>,
    /// The name as written, with its quotes.
    pub written: Range<usize>,
    /// The name as meant; see [`Kind::String`].
    pub name: Option<String>,
    pub value: Node,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    NotJson,
    /// Deeper than this parser recurses.
    TooDeep,
}

const MAX_DEPTH: usize = 400;

/// Parses the whole text.
///
/// # Errors
/// See [`Fault`].
pub fn parse(text: &str) -> Result<Node, Fault> {
    let mut parser = Parser { text: text.as_bytes(), at: 0 };
    parser.space();
    let node = parser.value(0)?;
    parser.space();
    if parser.at == text.len() { Ok(node) } else { Err(Fault::NotJson) }
}

impl Node {
    /// The members, of an object.
    #[must_use]
    pub fn members(&self) -> Option<&[Member]> {
        if let Kind::Object(members) = &self.kind { Some(members) } else { None }
    }

    /// The member of this name: the last of several.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Node> {
        let members = self.members()?;
        members.iter().rev().find(|member| member.name.as_deref() == Some(name)).map(|member| &member.value)
    }

    /// Whether every name of this object is valid text.
    #[must_use]
    pub fn names_are_text(&self) -> bool {
        self.members().is_some_and(|members| members.iter().all(|member| member.name.is_some()))
    }
}

struct Parser<'t> {
    text: &'t [u8],
    at: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn expect(&mut self, literal: &str) -> Result<(), Fault> {
        for byte in literal.bytes() {
            if self.peek() != Some(byte) {
                return Err(Fault::NotJson);
            }
            self.at += 1;
        }
        Ok(())
    }

    fn value(&mut self, depth: usize) -> Result<Node, Fault> {
        if depth > MAX_DEPTH {
            return Err(Fault::TooDeep);
        }
        let start = self.at;
        let kind = match self.peek() {
            Some(b'n') => self.expect("null").map(|()| Kind::Null)?,
            Some(b't') => self.expect("true").map(|()| Kind::Bool)?,
            Some(b'f') => self.expect("false").map(|()| Kind::Bool)?,
            Some(b'"') => Kind::String(self.string()?),
            Some(b'-' | b'0'..=b'9') => self.number()?,
            Some(b'[') => self.array(depth)?,
            Some(b'{') => self.object(depth)?,
            _ => return Err(Fault::NotJson),
        };
        Ok(Node { span: start..self.at, kind })
    }

    fn array(&mut self, depth: usize) -> Result<Kind, Fault> {
        let mut list = Vec::new();
        self.expect("[")?;
        self.space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Kind::Array(list));
        }
        loop {
            self.space();
            list.push(self.value(depth + 1)?);
            self.space();
            if self.peek() == Some(b']') {
                self.at += 1;
                return Ok(Kind::Array(list));
            }
            self.expect(",")?;
        }
    }

    fn object(&mut self, depth: usize) -> Result<Kind, Fault> {
        let mut list = Vec::new();
        let mut comma = None;
        self.expect("{")?;
        self.space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Kind::Object(list));
        }
        loop {
            self.space();
            let open = self.at;
            let name = self.string()?;
            let written = open..self.at;
            self.space();
            self.expect(":")?;
            self.space();
            let value = self.value(depth + 1)?;
            list.push(Member { comma, written, name, value });
            self.space();
            if self.peek() == Some(b'}') {
                self.at += 1;
                return Ok(Kind::Object(list));
            }
            comma = Some(self.at);
            self.expect(",")?;
        }
    }

    fn number(&mut self) -> Result<Kind, Fault> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(Kind::Number)
    }

    fn digits(&mut self) -> Result<(), Fault> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at > start { Ok(()) } else { Err(Fault::NotJson) }
    }

    /// As UTF-16 first, which escapes spell.
    fn string(&mut self) -> Result<Option<String>, Fault> {
        let mut units = Vec::new();
        self.expect("\"")?;
        loop {
            let rest = &self.text[self.at..];
            match self.peek().ok_or(Fault::NotJson)? {
                b'"' => {
                    self.at += 1;
                    return Ok(String::from_utf16(&units).ok());
                }
                b'\\' => {
                    let (unit, length) = match rest.get(1).ok_or(Fault::NotJson)? {
                        b'"' => (u16::from(b'"'), 2),
                        b'\\' => (u16::from(b'\\'), 2),
                        b'/' => (u16::from(b'/'), 2),
                        b'b' => (0x08, 2),
                        b'f' => (0x0c, 2),
                        b'n' => (0x0a, 2),
                        b'r' => (0x0d, 2),
                        b't' => (0x09, 2),
                        b'u' => {
                            let mut unit = 0_u16;
                            for index in 2..6 {
                                let digit = char::from(*rest.get(index).ok_or(Fault::NotJson)?);
                                let digit = digit.to_digit(16).ok_or(Fault::NotJson)?;
                                unit = unit * 16 + u16::try_from(digit).expect("less than 16");
                            }
                            (unit, 6)
                        }
                        _ => return Err(Fault::NotJson),
                    };
                    units.push(unit);
                    self.at += length;
                }
                0..=0x1f => return Err(Fault::NotJson),
                _ => {
                    // The text is UTF-8: a character begins here.
                    let length = (1..=4).find(|&n| std::str::from_utf8(&rest[..n.min(rest.len())]).is_ok());
                    let length = length.expect("the text is UTF-8");
                    let character = std::str::from_utf8(&rest[..length]).expect("just tried");
                    units.extend(character.encode_utf16());
                    self.at += length;
                }
            }
        }
    }
}
