//! Errors that quote nothing of the text: events hold personal data, and errors are logged.

use std::fmt;

use crate::PayloadError;

/// Why a text could not be read as an event, or a payload as a type of yours. Says what is wrong and where, and quotes
/// nothing: `serde_json`'s own errors quote values, even a whole payload in the wrong place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadError {
    /// What is wrong.
    pub category: Category,
    /// The line of the text, from 1.
    pub line: usize,
    /// The byte of that line, from 1.
    pub column: usize,
}

/// What is wrong with a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Category {
    /// It is not JSON.
    Syntax,
    /// It is cut off.
    Incomplete,
    /// It is JSON of another form: a member is missing, or has a type or value that it cannot have.
    Form,
    /// Its payload cannot be decompressed.
    Payload(PayloadError),
}

impl From<serde_json::Error> for ReadError {
    fn from(error: serde_json::Error) -> Self {
        use serde_json::error::Category as Serde;
        let category = match error.classify() {
            Serde::Syntax => Category::Syntax,
            Serde::Eof | Serde::Io => Category::Incomplete,
            Serde::Data => {
                let text = error.to_string();
                let payload = PayloadError::ALL.into_iter().find(|payload| text.starts_with(payload.as_str()));
                payload.map_or(Category::Form, Category::Payload)
            }
        };
        ReadError { category, line: error.line(), column: error.column() }
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.category {
            Category::Syntax => "not JSON",
            Category::Incomplete => "JSON that ends in the middle",
            Category::Form => "JSON of another form",
            Category::Payload(error) => error.as_str(),
        })?;
        write!(f, " at line {} column {}", self.line, self.column)
    }
}

// No source: serde_json's error could quote the text.
impl std::error::Error for ReadError {}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use super::{Category, ReadError};
    use crate::{Event, PayloadError};

    const EVENT: &str = r#"{"specversion":"1.0","id":"e1","source":"/webhooks/shop/default","type":"commerce.order.paid","datacontenttype":"application/json","provider":"shop","account":"default","providertype":"order.paid","receivedtime":"2025-01-11T16:00:01.250Z","data":{"amount":{"value":"1","unit":"minor"},"payload":{"email":"s3cr3t@example.com"}}}"#;

    fn quotes(error: &ReadError) -> bool {
        format!("{error} {error:?} {error:#?}").contains("s3cr3t") || error.source().is_some()
    }

    #[test]
    fn no_error_quotes_the_text() {
        use Category::{Form, Incomplete, Payload, Syntax};
        let payload = r#"{"email":"s3cr3t@example.com"}"#;
        let instead = |from: &str, to: &str| {
            assert!(EVENT.contains(from), "{from}");
            EVENT.replace(from, to)
        };
        let data = EVENT.find(r#""data":"#).unwrap() + r#""data":"#.len();
        for (text, category) in [
            // A string where an object is expected: the whole payload.
            (format!("{}{}}}", &EVENT[..data], serde_json::to_string(payload).unwrap()), Form),
            (serde_json::to_string(EVENT).unwrap(), Form),
            (r#""s3cr3t""#.to_owned(), Form),
            ("7".to_owned(), Form),
            (instead(r#""minor""#, r#""s3cr3t""#), Form),
            (instead(r#""1.0""#, r#""s3cr3t""#), Form),
            (instead(r#""application/json""#, r#""s3cr3t""#), Form),
            (instead(r#""e1""#, r#"{"s3cr3t":1}"#), Form),
            (instead(r#"{"value":"1","unit":"minor"}"#, r#""s3cr3t""#), Form),
            (instead(r#""id":"e1","#, r#""id":"s3cr3t","id":"e1","#), Form),
            (instead(r#""id":"e1","#, r#""s3cr3t":"e1","#), Form),
            // A text that imitates another error is not one.
            (instead(r#""minor""#, r#""data.payload_gzip is not base64 s3cr3t""#), Form),
            (instead(r#""payload":{"#, r#""payload_gzip":"s3cr3t", "x":{"#), Payload(PayloadError::Base64)),
            (instead(r#""payload":{"#, r#""payload_gzip":"", "payload":{"#), Payload(PayloadError::NotExactlyOne)),
            (instead(r#""e1""#, "s3cr3t"), Syntax),
            (instead(r#""e1""#, r#""\s3cr3t""#), Syntax),
            (format!("{EVENT} s3cr3t"), Syntax),
            (EVENT[..EVENT.len() - 20].to_owned(), Incomplete),
            (String::new(), Incomplete),
        ] {
            let error = Event::from_json(&text).unwrap_err();
            assert_eq!(error.category, category, "{text}");
            assert!(!quotes(&error), "{error:?} for {text}");
        }
    }

    #[test]
    fn an_error_says_where_and_a_payload_of_another_shape_is_not_quoted() {
        let error = Event::from_json("{\n  \"specversion\": \"s3cr3t\"}").unwrap_err();
        assert_eq!((error.line, error.to_string().as_str()), (2, "JSON of another form at line 2 column 25"));
        let event = Event::from_json(EVENT).unwrap();
        let error = event.payload::<Vec<String>>().unwrap_err();
        assert!(error.category == Category::Form && !quotes(&error), "{error:?}");
        let error = event.payload::<std::collections::BTreeMap<String, u8>>().unwrap_err();
        assert!(error.category == Category::Form && !quotes(&error), "{error:?}");
    }
}
