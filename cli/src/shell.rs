//! The words of a command line, as bytes: in a POSIX shell's syntax with `$'…'`, or as browsers quote for Windows' `cmd`.
//! (`shlex` and `shell-words` do not read `$'…'`; `brush-parser` does, and brings 85 crates.)

use anyhow::{Context, Result, bail, ensure};

const OPEN: &str = "the command ends inside quotes: copy it whole";
const WINDOWS: &str = "the command is quoted for Windows: choose \"Copy as cURL (bash)\" instead";
const EXPANDED: &str = "the command has what its shell replaces ($variable, `command`, here-document, unquoted ( ) { }), or an \
                        answer follows it: run it under set -x, and give the line that this prints, alone";
const REWRITTEN: &str = "an editor or a chat has changed the command's quotes, dashes or spaces (like ’ and –): put ' and - and \
                         plain spaces in their place, or copy the command again";

/// The words of every command of a script.
pub(super) fn commands(script: &[u8]) -> Result<Vec<Vec<Vec<u8>>>> {
    let arguments =
        script.iter().position(u8::is_ascii_whitespace).map_or(script, |end| script[end..].trim_ascii_start());
    let script = if arguments.starts_with(b"^\"") { from_cmd(script)? } else { script.to_vec() };
    let (mut commands, mut words, mut word, mut quoted, mut file) = (vec![], vec![], None::<Vec<u8>>, false, false);
    let mut rest = &[&script[..], b"\n"].concat()[..];
    while let Some(byte) = take(&mut rest) {
        let next = rest.first().copied().unwrap_or_default();
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' | b'|' | b';' | b'&' | b'<' | b'>' if !quoted => {
                let redirects = matches!(byte, b'<' | b'>');
                // `2>` is no word, and neither is the file behind it.
                let ended = word.take().filter(|word| !redirects || !word.iter().all(u8::is_ascii_digit));
                words.extend(ended.filter(|_| !std::mem::take(&mut file)));
                file |= redirects;
                match byte {
                    b'<' if next == b'<' => bail!(EXPANDED),
                    b'>' if matches!(next, b'>' | b'&') => drop(take(&mut rest)),
                    b'\n' | b'|' | b';' | b'&' => commands.push(std::mem::take(&mut words)),
                    _ => {}
                }
            }
            b'#' if !quoted && word.is_none() => {
                rest = &rest[rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len())..];
            }
            b'"' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            b'\'' if !quoted => {
                let end = rest.iter().position(|&byte| byte == b'\'').context(OPEN)?;
                word.get_or_insert_default().extend(&rest[..end]);
                rest = &rest[end + 1..];
            }
            // A line goes on. Windows' line ends come along with copies.
            b'\\' if rest.starts_with(b"\n") || rest.starts_with(b"\r\n") => {
                rest = &rest[1 + usize::from(next == b'\r')..];
            }
            b'\\' if !quoted || b"\"\\$`".contains(&next) => word.get_or_insert_default().extend(take(&mut rest)),
            b'$' if !quoted && next == b'\'' => ansi_c(&mut rest, word.get_or_insert_default())?,
            b'^' | b'`' if b"\"&|<>^%{}[]()`\\\r\n".contains(&next) => bail!(WINDOWS),
            b'`' => bail!(EXPANDED),
            // General punctuation, and the space that does not break.
            b'\xe2' | b'\xc2' if !quoted && matches!(next, b'\x80' | b'\xa0') => bail!(REWRITTEN),
            b'(' | b')' | b'{' | b'}' if !quoted => bail!(EXPANDED),
            b'$' if next.is_ascii_alphanumeric() || b"_{(@*#?-$!".contains(&next) => bail!(EXPANDED),
            other => word.get_or_insert_default().push(other),
        }
    }
    ensure!(!quoted, OPEN);
    Ok(commands)
}

/// The rest of `$'…'`: <https://www.gnu.org/software/bash/manual/html_node/ANSI_002dC-Quoting.html>.
fn ansi_c(rest: &mut &[u8], word: &mut Vec<u8>) -> Result<()> {
    *rest = &rest[1..];
    loop {
        match take(rest).context(OPEN)? {
            b'\'' => return Ok(()),
            b'\\' => {
                let bytes = escaped(rest).filter(|bytes| bytes != b"\0");
                word.extend(bytes.context("the command has a character that no shell passes on: add --body FILE")?);
            }
            byte => word.push(byte),
        }
    }
}

/// The bytes that an escape stands for. None for half a character.
fn escaped(rest: &mut &[u8]) -> Option<Vec<u8>> {
    if let Some(byte) = number(rest, 8, 3) {
        return Some(vec![u8::try_from(byte & 0xff).ok()?]);
    }
    let name = take(rest).unwrap_or_default();
    let value = match name {
        b'x' => number(rest, 16, 2),
        b'u' => number(rest, 16, 4),
        b'U' => number(rest, 16, 8),
        b'c' => take(rest).map(|byte| u32::from(byte & 0x1f)),
        _ => b"abeEfnrtv\\'\"?"
            .iter()
            .zip(b"\x07\x08\x1b\x1b\x0c\n\r\t\x0b\\'\"?")
            .find_map(|(known, &meant)| (*known == name).then_some(meant.into())),
    };
    let character = |value| Some(char::from_u32(value)?.to_string().into_bytes());
    match (name, value) {
        // Browsers write what is outside the basic plane as two.
        (b'u', Some(high @ 0xd800..=0xdbff)) => {
            *rest = rest.strip_prefix(b"\\u")?;
            let low = number(rest, 16, 4)?.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
            character(0x1_0000 + ((high - 0xd800) << 10) + low)
        }
        (b'u' | b'U', Some(value)) => character(value),
        (_, Some(byte)) => Some(vec![u8::try_from(byte).ok()?]),
        (_, None) => Some(vec![b'\\', name]),
    }
}

/// The number that up to `most` digits spell.
fn number(rest: &mut &[u8], radix: u32, most: usize) -> Option<u32> {
    let digits = rest.iter().take(most).take_while(|&&digit| char::from(digit).is_digit(radix)).count();
    let (digits, behind) = rest.split_at(digits);
    *rest = behind;
    u32::from_str_radix(std::str::from_utf8(digits).ok()?, radix).ok()
}

/// What Chrome, Edge and Firefox copy for `cmd`, for a POSIX shell: every special character has a caret before it, and what is
/// then left is in double quotes, where a line end is a caret and two.
fn from_cmd(mut rest: &[u8]) -> Result<Vec<u8>> {
    let mut script = Vec::new();
    while let Some(byte) = take(&mut rest) {
        match byte {
            b'"' | b'%' => bail!(WINDOWS),
            b'^' => {
                rest = rest.strip_prefix(b"\r\n").or_else(|| rest.strip_prefix(b"\n")).unwrap_or(rest);
                match take(&mut rest) {
                    Some(b'^') => script.extend(b"\"'^'\""),
                    Some(special @ (b'$' | b'`')) => script.extend([b'\\', special]),
                    other => script.extend(other),
                }
            }
            b'`' => script.extend(b"\\`"),
            other => script.push(other),
        }
    }
    Ok(script)
}

fn take(rest: &mut &[u8]) -> Option<u8> {
    let (&first, behind) = rest.split_first()?;
    *rest = behind;
    Some(first)
}
