//! The log lines of an event, from the functions' log groups by CloudWatch Logs Insights.

use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use aws_types::SdkConfig;
use http::StatusCode;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use crate::{
    client::{
        aws::Clients,
        stack::{Ask, call},
    },
    commands::claims::now,
    local::page::trace::is_about,
};

/// The most results of a query.
const MOST_LINES: usize = 10_000;

/// The most log groups of a query.
const MOST_GROUPS: usize = 50;

/// How long to wait for the results. AWS would go on for an hour.
const PATIENCE: Duration = Duration::from_mins(2);

/// The query for a text. Refuses one that cannot stand between quotes: it could be a query of its own.
pub(super) fn query(text: &str) -> anyhow::Result<String> {
    if text.contains(['"', '\\']) || text.contains(char::is_control) {
        bail!("an id with quotes, backslashes or control characters cannot be searched for in the log groups");
    }
    Ok(format!(
        "fields @timestamp, @message\n\
         | filter id = \"{text}\" or subject = \"{text}\" or message_id = \"{text}\"\n\
         | sort @timestamp asc\n\
         | limit {MOST_LINES}"
    ))
}

/// The log lines about what a text names, from `since` (in Unix seconds) until now; and whether there are more than these.
pub(super) async fn search(
    clients: &Clients,
    aws: &SdkConfig,
    groups: &[String],
    since: i64,
    text: &str,
) -> anyhow::Result<(Vec<Map<String, Value>>, bool)> {
    let query = query(text)?;
    let until = now() / 1000;
    let (mut lines, mut cut) = (Vec::new(), false);
    for groups in groups.chunks(MOST_GROUPS) {
        let asked = json!({"logGroupNames": groups, "startTime": since, "endTime": until, "queryString": query});
        let started = ask(clients, aws, "StartQuery", &asked).await?;
        let id = started["queryId"].as_str().context("CloudWatch Logs returned no query id")?;
        let results = results(clients, aws, id).await?;
        cut |= results.len() >= MOST_LINES;
        let found = results.iter().filter_map(|result| {
            let message = result.as_array()?.iter().find(|field| field["field"] == "@message")?;
            serde_json::from_str(message["value"].as_str()?).ok()
        });
        lines.extend(found.filter(|line| is_about(line, text)));
    }
    Ok((lines, cut))
}

/// Waits for the results of a query.
async fn results(clients: &Clients, aws: &SdkConfig, id: &str) -> anyhow::Result<Vec<Value>> {
    let begun = Instant::now();
    let mut pause = Duration::from_millis(250);
    loop {
        let mut answer = ask(clients, aws, "GetQueryResults", &json!({"queryId": id})).await?;
        match answer["status"].as_str().unwrap_or("Unknown") {
            "Complete" => return Ok(answer["results"].as_array_mut().map(std::mem::take).unwrap_or_default()),
            "Scheduled" | "Running" | "Unknown" if begun.elapsed() < PATIENCE => {}
            status @ ("Failed" | "Cancelled" | "Timeout") => {
                bail!("the query of CloudWatch Logs Insights ended as {status}: try again, or give a shorter --since")
            }
            status => bail!(
                "CloudWatch Logs Insights is still {status} after {} s: give a shorter --since",
                PATIENCE.as_secs()
            ),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(2));
    }
}

async fn ask(clients: &Clients, aws: &SdkConfig, action: &str, asked: &Value) -> anyhow::Result<Value> {
    let doing = format!("cannot search the log groups ({action})");
    let target = format!("Logs_20140328.{action}");
    let answer = call(aws, &clients.credentials().await?, "logs", Ask::Json(&target, asked.to_string())).await;
    let (status, body) = answer.with_context(|| doing.clone())?;
    let json: Value = serde_json::from_slice(&body).unwrap_or_default();
    if status == StatusCode::OK && json.is_object() {
        return Ok(json);
    }
    let code = json["__type"].as_str().and_then(|code| code.rsplit('#').next());
    let message = json["message"].as_str().or_else(|| json["Message"].as_str()).unwrap_or("no reason given");
    let remedy = match code {
        Some("AccessDeniedException") => {
            ": allow logs:StartQuery on the functions' log groups, and logs:GetQueryResults"
        }
        Some("ResourceNotFoundException") => ": a function's log group was deleted: choose a platform with --provider",
        _ => "",
    };
    let code = code.map_or_else(|| format!("HTTP status {status}"), str::to_owned);
    Err(anyhow!("{doing}: {code}: {message}{remedy}"))
}

#[cfg(test)]
mod tests {
    use super::query;

    #[test]
    fn a_text_stays_between_its_quotes() {
        let expected = "fields @timestamp, @message\n\
            | filter id = \"order/8f3e\" or subject = \"order/8f3e\" or message_id = \"order/8f3e\"\n\
            | sort @timestamp asc\n\
            | limit 10000";
        assert_eq!(query("order/8f3e").unwrap(), expected);
        for safe in ["ö # | 'x' `y` /z/", "a=b or 1=1", "${x}"] {
            assert_eq!(query(safe).unwrap().matches('"').count(), 6, "{safe}");
        }
        for unsafe_text in ["a\" or id like \"", "a\\", "a\n| limit 1", "a\u{0}", "\u{85}"] {
            assert!(query(unsafe_text).is_err(), "{unsafe_text}");
        }
    }
}
