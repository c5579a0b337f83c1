//! X-Ray's trace header, which any client may send in any form.

/// A [trace header](https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader), like
/// `Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1`. SQS may refuse a message with an invalid
/// one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Trace<'h> {
    /// As it came.
    pub header: &'h str,
    /// Eight and 24 hexadecimal digits.
    root: (&'h str, &'h str),
    /// 16 hexadecimal digits.
    parent: Option<&'h str>,
    sampled: bool,
}

impl<'h> Trace<'h> {
    /// A longer one is not passed on. Lambda's own are about 130 bytes.
    const MOST_BYTES: usize = 512;

    /// None for anything that is not a trace header.
    pub fn parse(header: &'h str) -> Option<Self> {
        let (mut root, mut parent, mut sampled) = (None, None, None);
        for field in header.split(';').filter(|_| header.len() <= Self::MOST_BYTES) {
            let (name, value) = field.split_once('=')?;
            let earlier = match name {
                "Root" => {
                    let (time, random) = value.strip_prefix("1-")?.split_once('-')?;
                    root.replace((hex(time, 8)?, hex(random, 24)?)).map(drop)
                }
                "Parent" => parent.replace(hex(value, 16)?).map(drop),
                "Sampled" => sampled.replace(["0", "1", "?"].into_iter().find(|known| *known == value)?).map(drop),
                // `Lineage`, by which Lambda detects loops, and whatever else a tracer adds.
                _ => (!is_plain(name) || !is_plain(value)).then_some(()),
            };
            if earlier.is_some() {
                return None;
            }
        }
        Some(Trace { header, root: root?, parent, sampled: sampled == Some("1") })
    }

    /// Its [W3C form](https://www.w3.org/TR/trace-context/#traceparent-header), where it names a parent.
    pub fn traceparent(self) -> Option<String> {
        let ((time, random), parent) = (self.root, self.parent?);
        let flags = if self.sampled { "01" } else { "00" };
        Some(format!("00-{time}{random}-{parent}-{flags}").to_ascii_lowercase())
    }
}

fn hex(text: &str, digits: usize) -> Option<&str> {
    (text.len() == digits && text.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(text)
}

fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::Trace;

    #[test]
    fn only_a_trace_header_is_one_and_with_a_parent_it_becomes_a_traceparent() {
        const ROOT: &str = "Root=1-5759e988-bd862e3fe1be46a994272793";
        const PARENT: &str = "Parent=53995c3f42cd8ad8";
        let sampled = Some("00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01");
        let unsampled = Some("00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-00");
        // Whether it is one, and what it becomes.
        for (header, expected) in [
            (format!("{ROOT};{PARENT};Sampled=1"), Some(sampled)),
            (format!("{ROOT};{PARENT};Sampled=0;Lineage=1:a87bd80c:0|68fd508a:5"), Some(unsampled)),
            (format!("{PARENT};Sampled=?;{ROOT};CalledFrom=app"), Some(unsampled)),
            (format!("{ROOT};{PARENT}").replace("bd862e", "BD862E"), Some(unsampled)),
            (ROOT.to_owned(), Some(None)),
            (format!("{ROOT};Sampled=1"), Some(None)),
            (String::new(), None),
            ("garbage".to_owned(), None),
            (PARENT.to_owned(), None),
            (format!("{ROOT};"), None),
            (format!("{ROOT};;{PARENT}"), None),
            (format!("{ROOT}; {PARENT}"), None),
            (format!("{ROOT};{ROOT}"), None),
            (format!("{ROOT};{PARENT};Sampled=yes"), None),
            (format!("{ROOT};Parent=53995c3f"), None),
            (format!("{ROOT};{PARENT}0"), None),
            (format!("{ROOT};Note=a b"), None),
            (format!("{ROOT};Note=é"), None),
            (format!("{ROOT};Note=\u{7f}"), None),
            (format!("{ROOT};Note"), None),
            (format!("{ROOT};Note={}", "x".repeat(512)), None),
            (ROOT.replace("2793", ""), None),
            (ROOT.replace("bd", "zz"), None),
            (ROOT.replace("1-", "2-"), None),
        ] {
            let read = Trace::parse(&header).map(Trace::traceparent);
            assert_eq!(read.as_ref().map(Option::as_deref), expected, "{header:?}");
        }
    }
}
