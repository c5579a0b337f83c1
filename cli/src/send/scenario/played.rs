//! The results of a scenario.

use std::{fmt::Write, time::Duration};

use serde_json::json;

use crate::{
    error::ExitCode,
    output::{BAD, GOOD, print, print_json},
    send::{
        plan::Plan,
        sending::{Delivered, Summary, hints},
    },
};

/// Printed in place of a check.
pub(super) const NOT_LOOKED_AT: &str = "The queue is not checked: it cannot be reached (see --sqs).";

/// A condition of the scenario.
pub(super) struct Check {
    pub(super) what: String,
    pub(super) found: String,
    pub(super) right: bool,
}

/// The expected and the actual result.
pub(super) struct Played {
    pub(super) expected: String,
    pub(super) results: Vec<Delivered>,
    pub(super) checks: Vec<Check>,
}

impl Played {
    /// Prints the results.
    pub(super) fn show(self, plan: &Plan, elapsed: Duration, as_json: bool) -> anyhow::Result<ExitCode> {
        let Played { expected, results, checks } = self;
        let summary = Summary::of(&results, elapsed);
        let as_expected = checks.iter().all(|check| check.right);
        if as_json {
            let mut json = summary.as_json(plan);
            let list = checks.iter().map(|c| json!({"check": c.what, "found": c.found, "right": c.right})).collect();
            json["scenario"] = expected.into();
            json["checks"] = serde_json::Value::Array(list);
            json["as_expected"] = as_expected.into();
            print_json(&json)?;
        } else {
            let mut text = summary.as_text(plan, &results, true);
            for Check { what, found, right } in &checks {
                let (colour, mark) = if *right { (GOOD, "✓") } else { (BAD, "✗") };
                let _ = writeln!(text, "{colour}{mark}{colour:#} {what}: {found}");
            }
            print(text + &hints(plan, &results, as_expected))?;
        }
        Ok(as_expected.into())
    }
}
