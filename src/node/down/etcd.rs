//! The members of kubeadm's etcd, as its own tool shows them, and whether
//! one of them may leave. Pure: nothing is asked or changed.

use serde::Deserialize;

/// The members of an etcd, and how each of them is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Etcd {
    members: Vec<Member>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Member {
    id: u64,
    /// Of the node; empty as long as it has never started.
    name: String,
    peers: Vec<String>,
    learner: bool,
    /// It reads by consensus: it knows a leader that has a quorum.
    healthy: bool,
}

/// What `etcdctl member list --write-out=json` prints.
#[derive(Deserialize)]
struct List {
    members: Vec<ListedMember>,
}

#[derive(Deserialize)]
struct ListedMember {
    #[serde(rename = "ID")]
    id: u64,
    #[serde(default)]
    name: String,
    #[serde(default, rename = "peerURLs")]
    peers: Vec<String>,
    #[serde(default, rename = "clientURLs")]
    clients: Vec<String>,
    #[serde(default, rename = "isLearner")]
    learner: bool,
}

/// One endpoint of `etcdctl endpoint health --cluster --write-out=json`.
#[derive(Deserialize)]
struct Endpoint {
    endpoint: String,
    health: bool,
}

/// Whom it is about: a node's name, by which kubeadm names its member, and
/// its address, by which a member is known that has never started.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leaver<'n> {
    pub(super) name: &'n str,
    pub(super) address: &'n str,
}

impl Member {
    fn is_of(&self, node: Leaver<'_>) -> bool {
        if !self.name.is_empty() {
            return self.name == node.name;
        }
        let at = format!("//{}:", node.address);
        self.peers.iter().any(|url| url.contains(&at))
    }

    /// For people.
    fn shown(&self) -> String {
        match (self.name.as_str(), self.peers.first()) {
            ("", Some(peer)) => format!("at {peer}"),
            ("", None) => format!("{:x}", self.id),
            (name, _) => name.to_owned(),
        }
    }

    /// Why it does not vote, or cannot.
    fn trouble(&self) -> Option<String> {
        let what = if self.name.is_empty() {
            "has not started"
        } else if self.learner {
            "is learning and does not vote yet"
        } else if !self.healthy {
            "does not answer, or knows no leader"
        } else {
            return None;
        };
        Some(format!("the member {} of etcd {what}", self.shown()))
    }
}

impl Etcd {
    /// Reads what etcdctl printed: the list of members, and their health.
    pub(super) fn read(list: &str, health: &str) -> Result<Self, String> {
        let none = |what: &str, error: serde_json::Error| {
            format!("etcdctl's {what} is none: {error}")
        };
        let list: List = serde_json::from_str(list)
            .map_err(|error| none("list of members", error))?;
        // Members that have never started have no endpoint.
        let health = match health.trim() {
            "" => "[]",
            health => health,
        };
        let endpoints: Vec<Endpoint> = serde_json::from_str(health)
            .map_err(|error| none("word on their health", error))?;
        let members = list.members.into_iter().map(|member| {
            let is_well = |url: &String| {
                endpoints.iter().any(|e| e.endpoint == *url && e.health)
            };
            Member {
                id: member.id,
                healthy: member.clients.iter().any(is_well),
                name: member.name,
                peers: member.peers,
                learner: member.learner,
            }
        });
        Ok(Self { members: members.collect() })
    }

    /// The id of a node's member, as `etcdctl member remove` takes it.
    pub(super) fn member(&self, node: Leaver<'_>) -> Option<String> {
        let found = self.members.iter().find(|member| member.is_of(node));
        found.map(|member| format!("{:x}", member.id))
    }

    /// How it would be without a node's member.
    pub(super) fn without(&self, node: Leaver<'_>) -> Self {
        let others = self.members.iter().filter(|m| !m.is_of(node));
        Self { members: others.cloned().collect() }
    }

    /// Whether a node's member is there and well.
    pub(super) fn is_well(&self, node: Leaver<'_>) -> bool {
        let mut members = self.members.iter();
        members.any(|m| m.is_of(node) && m.trouble().is_none())
    }

    /// The first member that does not vote.
    pub(super) fn trouble(&self) -> Option<String> {
        if self.members.is_empty() {
            return Some("etcd has no members".to_owned());
        }
        self.members.iter().find_map(Member::trouble)
    }

    /// Why a node's member must not leave: those that stay would not be all
    /// of them well, or there is no quorum to agree on it.
    pub(super) fn obstacle(&self, leaver: Leaver<'_>) -> Option<String> {
        let rest = self.without(leaver);
        if rest.members.is_empty() {
            return Some(format!(
                "{} is the only member of etcd, which goes with it",
                leaver.name
            ));
        }
        if let Some(why) = rest.trouble() {
            return Some(why);
        }
        let voters = self.members.iter().filter(|member| !member.learner);
        let (mut all, mut well) = (0_usize, 0_usize);
        for voter in voters {
            all = all.saturating_add(1);
            well = well.saturating_add(usize::from(voter.healthy));
        }
        // More than half of those that are listed now must agree.
        (well.saturating_mul(2) <= all).then(|| {
            format!(
                "{well} of {all} members of etcd answer, which is no majority"
            )
        })
    }

    /// Why its members are not just these masters; `leaving` may be missing
    /// on either side.
    pub(super) fn mismatch(
        &self,
        masters: &[&str],
        leaving: &[&str],
    ) -> Option<String> {
        let named = |name: &str| masters.contains(&name);
        let stranger = self.members.iter().find(|member| {
            let name = member.name.as_str();
            !name.is_empty() && !named(name) && !leaving.contains(&name)
        });
        if let Some(member) = stranger {
            return Some(format!(
                "etcd has a member {}, which is no registered master",
                member.shown()
            ));
        }
        let missing = masters.iter().find(|master| {
            !leaving.contains(master)
                && !self.members.iter().any(|m| m.name == **master)
        });
        missing.map(|name| {
            format!("{name} is a master, and has no member in etcd")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Leaver<'_> = Leaver { name: "m1", address: "10.0.0.1" };
    const TWO: Leaver<'_> = Leaver { name: "m2", address: "10.0.0.2" };
    const THREE: Leaver<'_> = Leaver { name: "m3", address: "10.0.0.3" };

    /// Members by number: whether they are healthy.
    fn etcd(members: &[(u8, bool)]) -> Etcd {
        let list: Vec<String> = members
            .iter()
            .map(|(n, _)| {
                format!(
                    r#"{{"ID":{n}73,"name":"m{n}","peerURLs":
                    ["https://10.0.0.{n}:2380"],"clientURLs":
                    ["https://10.0.0.{n}:2379"]}}"#
                )
            })
            .collect();
        let health: Vec<String> = members
            .iter()
            .map(|(n, health)| {
                let url = format!("https://10.0.0.{n}:2379");
                format!(r#"{{"endpoint":"{url}","health":{health}}}"#)
            })
            .collect();
        let list = format!(r#"{{"members":[{}]}}"#, list.join(","));
        Etcd::read(&list, &format!("[{}]", health.join(","))).unwrap()
    }

    #[test]
    fn a_member_may_leave_where_a_healthy_majority_stays() {
        let may = |members: &[(u8, bool)], leaver| {
            etcd(members).obstacle(leaver).is_none()
        };
        let (well, sick) = (true, false);
        assert!(may(&[(1, well), (2, well), (3, well)], THREE));
        assert!(may(&[(1, well), (2, well)], TWO));
        // It is the sick one that leaves.
        assert!(may(&[(1, well), (2, well), (3, sick)], THREE));
        assert!(!may(&[(1, well), (2, sick)], TWO));
        // One that stays is sick.
        assert!(!may(&[(1, well), (2, sick), (3, well)], THREE));
        assert!(!may(&[(1, sick), (2, well)], TWO));
        // It has left already.
        assert!(may(&[(1, well), (2, well)], THREE));
        assert!(!may(&[(1, well), (2, sick)], THREE));
        assert!(!may(&[(1, well)], ONE));
        assert!(!may(&[], ONE));
    }

    #[test]
    fn one_that_learns_or_has_not_started_is_in_the_way_of_others() {
        let list = r#"{"header":{},"members":[
            {"ID":9804958642366345216,"name":"m1",
             "peerURLs":["https://10.0.0.1:2380"],
             "clientURLs":["https://10.0.0.1:2379"]},
            {"ID":7,"name":"m2","peerURLs":["https://10.0.0.2:2380"],
             "clientURLs":["https://10.0.0.2:2379"]},
            {"ID":8,"peerURLs":["https://10.0.0.3:2380"],"isLearner":true}]}"#;
        let health = r#"[{"endpoint":"https://10.0.0.1:2379","health":true},
            {"endpoint":"https://10.0.0.2:2379","health":true,"took":"1ms"}]"#;
        let etcd = Etcd::read(list, health).unwrap();
        assert_eq!(etcd.member(ONE).unwrap(), "881235efb3a47000");
        let why = etcd.obstacle(TWO).unwrap();
        assert!(why.contains("10.0.0.3:2380 of etcd has not"), "{why}");
        // It goes by its address, and is in nobody's way then.
        assert_eq!(etcd.member(THREE).unwrap(), "8");
        assert_eq!(etcd.obstacle(THREE), None);
        assert_eq!(etcd.without(THREE).trouble(), None);
        let started = list.replace(r#"{"ID":8,"#, r#"{"ID":8,"name":"m3","#);
        let why = Etcd::read(&started, health).unwrap().obstacle(TWO);
        assert!(why.unwrap().contains("m3 of etcd is learning"));
    }

    #[test]
    fn members_and_masters_are_the_same() {
        let etcd = etcd(&[(1, true), (2, true)]);
        assert_eq!(etcd.mismatch(&["m1", "m2"], &[]), None);
        assert_eq!(etcd.mismatch(&["m1", "m2", "m3"], &["m3"]), None);
        assert_eq!(etcd.mismatch(&["m1"], &["m2"]), None);
        let why = etcd.mismatch(&["m1", "m2", "m3"], &["m2"]).unwrap();
        assert!(why.contains("m3 is a master"), "{why}");
        let why = etcd.mismatch(&["m1"], &[]).unwrap();
        assert!(why.contains("a member m2"), "{why}");
    }

    #[test]
    fn what_is_no_answer_is_an_error() {
        for (list, health) in
            [("", "[]"), ("{}", "[]"), (r#"{"members":[]}"#, "unhealthy")]
        {
            assert!(Etcd::read(list, health).is_err(), "{list} {health}");
        }
        let none = Etcd::read(r#"{"members":[]}"#, "").unwrap();
        assert!(none.trouble().is_some());
    }
}
