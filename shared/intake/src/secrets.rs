//! The signing secrets at run time: read from Secrets Manager, so that a rotation needs no deployment, and cached, so that
//! nobody can cause a call per request from outside.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use aws_sdk_secretsmanager::Client;
use hookgate_verify::Secrets;
use tokio::sync::Mutex;

use crate::queue::error_name;

/// Secrets older than this are read again.
const FRESH_FOR: Duration = Duration::from_mins(5);

/// The least time between two reads that a request causes (its signature fails, its account is unknown), and between two
/// attempts while no secrets are known.
const PAUSE: Duration = Duration::from_secs(30);

/// The most time for one read, including a second attempt, out of the answer's budget.
pub(crate) const PATIENCE: Duration = Duration::from_millis(1_500);

/// Where the signing secrets come from.
#[derive(Debug)]
pub(crate) enum SecretSource {
    /// From the environment: for local use.
    Inline(Arc<Secrets>),
    /// From one entry of Secrets Manager.
    Manager(Entry),
}

/// One entry of Secrets Manager, and the secrets last read from it.
#[derive(Debug)]
pub(crate) struct Entry {
    client: Client,
    id: String,
    cache: Mutex<Cache>,
}

// Wall-clock times: the monotonic clock may stop while Lambda freezes the execution environment.
#[derive(Debug, Default)]
struct Cache {
    secrets: Option<Arc<Secrets>>,
    read: Option<SystemTime>,
    tried: Option<SystemTime>,
    /// Why the last attempt failed. Names the entry.
    error: Option<String>,
}

/// The secrets, if any are known, and the error if they could not be read again.
pub(crate) type Loaded = (Option<Arc<Secrets>>, Option<String>);

impl SecretSource {
    pub fn manager(client: Client, id: String) -> Self {
        SecretSource::Manager(Entry { client, id, cache: Mutex::default() })
    }

    /// The secrets to verify with: at most [`FRESH_FOR`] old, or older if they cannot be read again.
    pub async fn current(&self) -> Loaded {
        match self {
            SecretSource::Inline(secrets) => (Some(secrets.clone()), None),
            SecretSource::Manager(entry) => entry.load(Cache::is_stale).await,
        }
    }

    /// Reads the secrets again after none matched: one may have been rotated a moment ago. None where that changes nothing,
    /// or is not due yet.
    pub async fn refresh(&self, known: &Arc<Secrets>) -> Option<Arc<Secrets>> {
        let SecretSource::Manager(entry) = self else { return None };
        let (secrets, _) = entry.load(Cache::may_be_tried).await;
        secrets.filter(|secrets| !Arc::ptr_eq(secrets, known))
    }
}

impl Entry {
    async fn load(&self, due: fn(&Cache, SystemTime) -> bool) -> Loaded {
        let mut cache = self.cache.lock().await;
        let now = SystemTime::now();
        if due(&cache, now) {
            cache.tried = Some(now);
            cache.error = match self.read().await {
                Ok(secrets) => {
                    cache.secrets = Some(Arc::new(secrets));
                    cache.read = Some(now);
                    None
                }
                Err(error) => Some(format!("secret {}: {error}", self.id)),
            };
        }
        (cache.secrets.clone(), cache.error.clone())
    }

    async fn read(&self) -> Result<Secrets, String> {
        let get = self.client.get_secret_value().secret_id(&self.id).send();
        let answer = tokio::time::timeout(PATIENCE, get).await.map_err(|_| "TimeoutError".to_owned())?;
        let answer = answer.map_err(|error| error_name(&error))?;
        let text = answer.secret_string().ok_or("has no SecretString: store text, not binary")?;
        Secrets::parse(text).map_err(|error| error.to_string())
    }
}

impl Cache {
    /// Whether the secrets must be read because of their age. A failed read is not repeated at once.
    fn is_stale(&self, now: SystemTime) -> bool {
        !within(self.read, FRESH_FOR, now) && (self.error.is_none() || self.may_be_tried(now))
    }

    /// Whether enough time has passed for a read that a request causes.
    fn may_be_tried(&self, now: SystemTime) -> bool {
        !within(self.tried, PAUSE, now)
    }
}

fn within(time: Option<SystemTime>, span: Duration, now: SystemTime) -> bool {
    // If the clock went backwards, read again.
    time.and_then(|time| now.duration_since(time).ok()).is_some_and(|elapsed| elapsed < span)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_are_as_rare_as_promised() {
        let start = SystemTime::UNIX_EPOCH + Duration::from_hours(1);
        let ago = |seconds: u64| Some(start - Duration::from_secs(seconds));
        let failed = || Some("failed".to_owned());
        // When it was read and tried, the error: is it stale, may it be tried?
        for (read, tried, error, is_stale, may_be_tried) in [
            (None, None, None, true, true),
            // Read successfully: for five minutes only a failed signature causes a read, at most every 30 s.
            (ago(0), ago(0), None, false, false),
            (ago(29), ago(29), None, false, false),
            (ago(30), ago(30), None, false, true),
            (ago(299), ago(299), None, false, true),
            (ago(300), ago(300), None, true, true),
            // Failed, and no secrets known: every 30 s.
            (None, ago(29), failed(), false, false),
            (None, ago(30), failed(), true, true),
            // Failed, with older secrets known: every 30 s too, once they are stale.
            (ago(200), ago(100), failed(), false, true),
            (ago(310), ago(10), failed(), false, false),
            (ago(330), ago(30), failed(), true, true),
            // A clock that went backwards.
            (Some(start + Duration::from_secs(9)), Some(start + Duration::from_secs(9)), None, true, true),
        ] {
            let cache = Cache { secrets: None, read, tried, error };
            assert_eq!((cache.is_stale(start), cache.may_be_tried(start)), (is_stale, may_be_tried), "{cache:?}");
        }
    }
}
