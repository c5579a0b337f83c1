//! What the subcommands share on the command line: an error that is the caller's to mend, and how arguments are read.

use std::{fmt, path::Path};

use clap::builder::{PossibleValuesParser, TypedValueParser};
use hookgate_verify::{Account, Provider, providers};

/// The command cannot be done as it was asked for: one line that names the thing and the remedy. Exit code 2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageError(pub String);

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for UsageError {}

/// Reads a provider's name.
pub(crate) fn provider() -> impl TypedValueParser<Value = &'static Provider> {
    PossibleValuesParser::new(providers::ALL.iter().map(|provider| provider.name))
        .try_map(|name| Provider::named(&name).ok_or("no such provider"))
}

/// Reads an account's name.
pub(crate) fn account(name: &str) -> Result<Account, String> {
    Account::parse(name).ok_or_else(|| "an account is 1 to 64 of a-z, 0-9 and -".to_owned())
}

/// Reads a file that an argument names.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, UsageError> {
    std::fs::read(path).map_err(|error| UsageError(format!("cannot read {}: {error}", path.display())))
}
