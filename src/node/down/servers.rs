//! The servers of k3s that have its etcd, as their Nodes show them, and
//! whether one of them may leave. Pure: nothing is asked or changed.
//!
//! k3s takes a member out of etcd when its Node is deleted: a server that
//! stays does it, and the Node has a finalizer until it is done
//! (`pkg/etcd/member_controller.go`). The leader writes every 15 seconds
//! onto each Node whether its member votes (`pkg/etcd/etcd.go`,
//! `EtcdIsVoter`, since 1.27).

use super::super::node_list::{Metadata, NodeList, NodeObject};

const LABEL: &str = "node-role.kubernetes.io/etcd";
const FINALIZER: &str = "wrangler.cattle.io/managed-etcd-controller";
const MEMBER: [&str; 2] =
    ["etcd.k3s.cattle.io/node-name", "etcd.k3s.cattle.io/node-address"];
const VOTER: &str = "EtcdIsVoter";

/// The servers with etcd; none with SQLite or a database elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Servers {
    servers: Vec<Server>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Server {
    name: String,
    ready: bool,
    /// Unknown where the leader has not said so.
    voter: Option<bool>,
    /// Its Node does not go before its member is out of etcd.
    tied: bool,
}

impl Server {
    fn of(node: NodeObject) -> Option<Self> {
        let Metadata { name, labels, annotations, finalizers } = node.metadata;
        labels.contains_key(LABEL).then_some(())?;
        let condition =
            |kind: &str| match node.status.condition(kind)?.status.as_str() {
                "True" => Some(true),
                "False" => Some(false),
                _ => None,
            };
        let is_member = MEMBER.iter().all(|key| annotations.contains_key(*key));
        Some(Self {
            ready: condition("Ready") == Some(true),
            voter: condition(VOTER),
            tied: is_member && finalizers.iter().any(|f| f == FINALIZER),
            name,
        })
    }

    fn trouble(&self) -> Option<String> {
        let what = if !self.ready {
            "is not ready"
        } else if self.voter == Some(false) {
            "does not vote in etcd"
        } else {
            return None;
        };
        Some(format!("the server {} {what}", self.name))
    }
}

impl Servers {
    /// Reads what `kubectl get nodes --output=json` printed.
    pub(super) fn read(list: &str) -> Result<Self, String> {
        let list: NodeList = serde_json::from_str(list)
            .map_err(|error| format!("kubectl's list is none: {error}"))?;
        let servers = list.items.into_iter().filter_map(Server::of);
        Ok(Self { servers: servers.collect() })
    }

    /// Says whether there are any.
    pub(super) fn have_etcd(&self) -> bool {
        !self.servers.is_empty()
    }

    /// How they would be without one.
    pub(super) fn without(&self, name: &str) -> Self {
        let others = self.servers.iter().filter(|server| server.name != name);
        Self { servers: others.cloned().collect() }
    }

    /// Whether one is there and well.
    pub(super) fn is_well(&self, name: &str) -> bool {
        let mut servers = self.servers.iter();
        servers.any(|s| s.name == name && s.trouble().is_none())
    }

    /// The first that is not well.
    pub(super) fn trouble(&self) -> Option<String> {
        self.servers.iter().find_map(Server::trouble)
    }

    /// Whether one still votes. Its kubelet may have registered it anew, of
    /// which the leader has not said anything yet.
    pub(super) fn votes(&self, name: &str) -> bool {
        let mut servers = self.servers.iter();
        servers.any(|s| s.name == name && s.voter == Some(true))
    }

    /// Why a server must not leave: one that stays is not well, or of two
    /// it is not known that etcd lets it go before it stops, without which
    /// the other has no quorum.
    pub(super) fn obstacle(&self, name: &str) -> Option<String> {
        let rest = self.without(name);
        let leaver = self.servers.iter().find(|server| server.name == name)?;
        if let Some(why) = rest.trouble() {
            return Some(why);
        }
        let [last] = rest.servers.as_slice() else {
            return rest.servers.is_empty().then(|| {
                format!("{name} is the only server with etcd that there is")
            });
        };
        let unknown = [leaver, last].into_iter().find(|s| s.voter.is_none());
        if let Some(server) = unknown {
            return Some(format!(
                "of two servers one is to go, and k3s does not say whether \
                 {} votes in etcd",
                server.name
            ));
        }
        (leaver.voter == Some(true) && !leaver.tied).then(|| {
            format!(
                "of two servers one is to go, and nothing shows that k3s takes \
                 {name} out of etcd with its Node (no finalizer {FINALIZER})"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn node(name: &str, ready: &str, voter: Option<&str>) -> Value {
        let mut conditions = vec![json!({"type": "Ready", "status": ready})];
        conditions
            .extend(voter.map(|voter| json!({"type": VOTER, "status": voter})));
        json!({
            "metadata": {
                "name": name, "labels": {LABEL: "true"},
                "finalizers": ["wrangler.cattle.io/node", FINALIZER],
                "annotations": {MEMBER[0]: name, MEMBER[1]: "10.0.0.1"},
            },
            "status": {"conditions": conditions},
        })
    }

    fn obstacle(nodes: &[Value], name: &str) -> Option<String> {
        let list = json!({"items": nodes}).to_string();
        Servers::read(&list).unwrap().obstacle(name)
    }

    #[test]
    fn of_two_servers_one_goes_only_where_etcd_is_sure_to_let_it_go() {
        let well = |name| node(name, "True", Some("True"));
        assert_eq!(obstacle(&[well("a"), well("b")], "b"), None);
        let mut loose = well("b");
        loose["metadata"]["finalizers"] = json!([]);
        let why = obstacle(&[well("a"), loose.clone()], "b").unwrap();
        assert!(why.contains(FINALIZER), "{why}");
        // Three have a quorum of two while one leaves.
        assert_eq!(obstacle(&[well("a"), well("c"), loose], "b"), None);
        let mute = |name| node(name, "True", None);
        let why = obstacle(&[mute("a"), well("b")], "b").unwrap();
        assert!(why.contains("does not say whether a votes"), "{why}");
        assert_eq!(obstacle(&[mute("a"), mute("c"), mute("b")], "b"), None);
        // It has left etcd already.
        let left = node("b", "True", Some("False"));
        assert_eq!(obstacle(&[well("a"), left], "b"), None);
    }

    #[test]
    fn those_that_stay_are_well() {
        let well = |name| node(name, "True", Some("True"));
        for (sick, said) in [
            (node("a", "Unknown", Some("True")), "a is not ready"),
            (node("a", "True", Some("False")), "a does not vote"),
        ] {
            let nodes = [sick, well("b"), well("c")];
            let why = obstacle(&nodes, "b").unwrap();
            assert!(why.contains(said), "{why}");
            // It is the sick one that leaves.
            assert_eq!(obstacle(&nodes, "a"), None);
        }
        assert!(obstacle(&[well("a")], "a").unwrap().contains("only server"));
    }

    #[test]
    fn without_etcd_nothing_is_in_the_way() {
        let mut node = node("a", "True", None);
        node["metadata"]["labels"] = json!({});
        assert_eq!(obstacle(&[node], "a"), None);
        assert!(Servers::read("{}").is_err());
        assert!(Servers::read("").is_err());
    }
}
