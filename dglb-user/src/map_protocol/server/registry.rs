//! Which session is a node's: the one that said hello last.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio_util::sync::CancellationToken;

use crate::map_protocol::NodeName;

type Sessions = Arc<Mutex<HashMap<NodeName, Entry>>>;

/// The sessions by node name; as many as there are connections at most.
#[derive(Debug, Default)]
pub(super) struct Registry(Sessions);

#[derive(Clone, Debug, Default)]
struct Entry {
    replaced: CancellationToken,
    ended: CancellationToken,
}

impl Registry {
    /// Makes the caller's session the node's, once the one before has ended: no event of the old one may
    /// come after an event of the new one.
    pub(super) async fn register(&self, node: &NodeName) -> Registration {
        let entry = Entry::default();
        let before = self.take_over(node, &entry);
        let registration = Registration {
            sessions: Arc::clone(&self.0),
            node: node.clone(),
            entry,
        };
        if let Some(before) = before {
            before.ended.cancelled().await;
        }
        registration
    }

    fn take_over(&self, node: &NodeName, entry: &Entry) -> Option<Entry> {
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = sessions.insert(node.clone(), entry.clone())?;
        // Under the lock: the old session's end looks at this to know whose entry stands there.
        before.replaced.cancel();
        Some(before)
    }
}

/// A session's claim to its node's name; dropped when the session has sent its last event.
#[derive(Debug)]
pub(super) struct Registration {
    sessions: Sessions,
    node: NodeName,
    entry: Entry,
}

impl Registration {
    /// Cancelled when the node says hello elsewhere.
    pub(super) fn replaced(&self) -> &CancellationToken {
        &self.entry.replaced
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.entry.replaced.is_cancelled() {
            sessions.remove(&self.node);
        }
        self.entry.ended.cancel();
    }
}

#[cfg(test)]
mod tests {
    use tokio::task::yield_now;

    use super::*;

    #[tokio::test]
    async fn a_new_session_waits_for_the_old_one_to_end() {
        let registry = Arc::new(Registry::default());
        let node: NodeName = "lb-a".parse().unwrap();
        let old = registry.register(&node).await;
        let new = tokio::spawn({
            let (registry, node) = (Arc::clone(&registry), node.clone());
            async move { registry.register(&node).await }
        });
        old.replaced().cancelled().await;
        for _ in 0..10 {
            yield_now().await;
        }
        assert!(!new.is_finished());
        drop(old);
        let new = new.await.unwrap();
        assert!(!new.replaced().is_cancelled());
        assert_eq!(registry.0.lock().unwrap().len(), 1);
        drop(new);
        assert!(registry.0.lock().unwrap().is_empty());
    }
}
