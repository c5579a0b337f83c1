//! The options that choose events.

use std::collections::BTreeSet;

use hookgate_event::Event;
use hookgate_verify::{Account, Provider};
use serde_json::{Value, json};

use crate::arguments;

/// An event has to match one value of each option that is given.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Filter {
    /// Only events of this type, such as order.paid or 'order.*'. Repeatable
    #[arg(long, value_name = "TYPE")]
    r#type: Vec<String>,
    /// Only events of this platform. Repeatable
    #[arg(long, value_parser = arguments::provider())]
    provider: Vec<&'static Provider>,
    /// Only events of this account. Repeatable
    #[arg(long, value_parser = arguments::account)]
    account: Vec<Account>,
}

impl Filter {
    /// The options, whatever the order in which they were given.
    pub(crate) fn as_json(&self) -> Value {
        json!({
            "type": self.r#type.iter().collect::<BTreeSet<_>>(),
            "provider": self.provider.iter().map(|provider| provider.name).collect::<BTreeSet<_>>(),
            "account": self.account.iter().map(Account::as_str).collect::<BTreeSet<_>>(),
        })
    }

    /// Whether the event matches. Something that is not an event matches only if no option is given.
    pub(crate) fn admits(&self, event: Option<&Event<'_>>) -> bool {
        let Filter { r#type, provider, account } = self;
        let Some(event) = event else { return r#type.is_empty() && provider.is_empty() && account.is_empty() };
        let named = event.event_type.as_str();
        let short = named.strip_prefix("commerce.").unwrap_or(named);
        let of_type = |asked: &String| match asked.strip_suffix('*') {
            Some(begin) => named.starts_with(begin) || short.starts_with(begin),
            None => named == asked || short == asked,
        };
        (r#type.is_empty() || r#type.iter().any(of_type))
            && (provider.is_empty() || provider.iter().any(|asked| asked.name == event.provider))
            && (account.is_empty() || account.iter().any(|asked| asked.as_str() == event.account))
    }
}
