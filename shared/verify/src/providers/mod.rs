//! The platforms. Each has one file; this list is the only place that names them all.

pub mod elective;
pub mod etaildepot;
pub mod opterius;
pub mod shoppex;
pub mod w3block;

use hookgate_event::EventType;

use crate::{Scheme, Unreadable, json::Object, reading::Facts};

/// Every platform, in the order of their names. What each documents, and where, is in its file.
pub static ALL: &[&Provider] =
    &[&elective::PROVIDER, &etaildepot::PROVIDER, &opterius::PROVIDER, &shoppex::PROVIDER, &w3block::PROVIDER];

/// One platform: how it signs, what it expects as an answer, what its events mean.
pub struct Provider {
    /// Its name in addresses, events, logs and settings.
    pub name: &'static str,
    /// The HTTP status that tells it that a signature is wrong: the one that its documentation shows.
    pub rejected_status: u16,
    /// The environment variable that chooses among [`modes`](Self::modes); empty where there is one mode only.
    pub setting: &'static str,
    /// The values of the setting, each with the schemes that it accepts, newest first. The first value is the default.
    pub modes: &'static [(&'static str, &'static [Scheme])],
    /// Headers of requests that want goods for an answer and must never get a 200.
    pub dynamic_delivery: &'static [&'static str],
    /// The platform's event names, and what they are called here.
    pub events: &'static [(&'static str, EventType)],
    /// The envelope's member that is the payload; and, where that wraps the object that the event is about, its member.
    pub(crate) payload: &'static [&'static str],
    /// Reads the envelope and the object that the event is about.
    pub(crate) read: for<'d> fn(&Object<'d>, &Object<'d>) -> Result<Facts<'d>, Unreadable>,
}

impl Provider {
    /// What an event of this name is called here.
    #[must_use]
    pub fn event_type(&self, name: &str) -> EventType {
        let known = self.events.iter().find(|(known, _)| *known == name);
        known.map_or(EventType::Unrecognized, |&(_, event_type)| event_type)
    }

    /// The platform of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Provider> {
        ALL.iter().copied().find(|provider| provider.name == name)
    }
}

impl std::fmt::Debug for Provider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::ALL;

    #[test]
    fn names_are_unique_and_every_file_is_listed() {
        let names: std::collections::BTreeSet<_> = ALL.iter().map(|provider| provider.name.to_owned()).collect();
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/providers");
        let files: std::collections::BTreeSet<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
            .filter(|name| name != "mod")
            .collect();
        assert_eq!(names, files);
        for provider in ALL {
            let events: std::collections::BTreeSet<_> = provider.events.iter().map(|(name, _)| name).collect();
            assert_eq!(events.len(), provider.events.len(), "{provider:?} lists an event twice");
            assert_eq!(provider.setting.is_empty(), provider.modes.len() == 1, "{provider:?}");
        }
    }
}
