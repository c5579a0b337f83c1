//! The verifier as a filter, for tests in other languages: one delivery a line on standard input, one verdict a line on
//! standard output. Both are JSON; bodies are base64.
//!
//! ```text
//! {"platform":"a-platform","secrets":["whsec_…"],"headers":[["a-platform-signature","t=…"]],"body":"e30=","received":1800000000}
//! {"verdict":"accepted","scheme":"v1","secret":0}   or   {"verdict":"rejected","reason":"signature_mismatch"}
//! ```

use std::io::{self, BufWriter, Write};

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use hookgate_verify::{Account, Delivery, Provider, Secrets, Verifier};
use http::{HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::{Value, json};
use time::OffsetDateTime;

#[derive(Deserialize)]
struct Line {
    platform: String,
    /// The value of the platform's setting.
    mode: Option<String>,
    secrets: Vec<String>,
    headers: Vec<(String, String)>,
    body: String,
    received: i64,
}

fn main() -> io::Result<()> {
    let mut output = BufWriter::new(io::stdout().lock());
    for line in io::stdin().lines() {
        let verdict = judge(&line?).map_err(io::Error::other)?;
        writeln!(output, "{verdict}")?;
    }
    output.flush()
}

fn judge(line: &str) -> Result<Value, String> {
    let said = |error: &dyn ToString| error.to_string();
    let line: Line = serde_json::from_str(line).map_err(|error| said(&error))?;
    let provider = Provider::named(&line.platform).ok_or_else(|| format!("no platform {}", line.platform))?;
    let verifier = Verifier::new(provider, |_| line.mode.clone()).map_err(|_| "no such mode")?;
    let secrets = Secrets::parse(&json!({ "default": line.secrets }).to_string()).map_err(|error| said(&error))?;
    let header = |(name, value): &(String, String)| {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|error| said(&error))?;
        // A character is a byte, as in HTTP.
        let bytes: Option<Vec<_>> = value.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect();
        let value = HeaderValue::from_bytes(&bytes.ok_or("a header that is no Latin 1")?);
        Ok::<_, String>((name, value.map_err(|error| said(&error))?))
    };
    let mut headers = http::HeaderMap::new();
    for (name, value) in line.headers.iter().map(header).collect::<Result<Vec<_>, _>>()? {
        headers.append(name, value);
    }
    let body = BASE64.decode(&line.body).map_err(|error| said(&error))?;
    let received = OffsetDateTime::from_unix_timestamp(line.received).map_err(|error| said(&error))?;
    let delivery = Delivery { headers, body, account: Account::default(), received };
    Ok(match verifier.authenticate(&delivery, &secrets) {
        Ok(authentic) => json!({
            "verdict": "accepted",
            "scheme": authentic.scheme(),
            "secret": authentic.secret(),
        }),
        Err(rejection) => json!({ "verdict": "rejected", "reason": rejection.as_str() }),
    })
}
