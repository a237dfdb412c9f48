//! What a cluster is for: pods that reach each other.

use crate::guest::Guest;
use std::io::Write;

const KUBECTL: &str = "sudo kubectl --kubeconfig /etc/kubernetes/admin.conf";

/// Starts a pod on every node, and asks in each of them every other pod by
/// its address, and the service by its name. `count` is how many nodes there
/// are.
pub fn assert_reach(master: &mut Guest<'_>, image: &str, count: usize) {
    let manifest = format!(
        "\
apiVersion: apps/v1
kind: DaemonSet
metadata: {{name: echo, namespace: default}}
spec:
  selector: {{matchLabels: {{app: echo}}}}
  template:
    metadata: {{labels: {{app: echo}}}}
    spec:
      terminationGracePeriodSeconds: 1
      tolerations: [{{operator: Exists}}]
      containers:
      - name: echo
        image: {image}
        command: [sh, -c, 'while :; do echo \"at $NODE\" | nc -l -p 8080; done']
        env:
        - name: NODE
          valueFrom: {{fieldRef: {{fieldPath: spec.nodeName}}}}
---
apiVersion: v1
kind: Service
metadata: {{name: echo, namespace: default}}
spec:
  selector: {{app: echo}}
  ports: [{{port: 80, targetPort: 8080}}]
"
    );
    master.sh(&format!("{KUBECTL} apply -f - <<'END'\n{manifest}END"));
    let ask = "get pods -l app=echo -o jsonpath='{range .items[*]}\
               {.metadata.name} {.spec.nodeName} {.status.podIP} \
               {.status.conditions[?(@.type==\"Ready\")].status}{\"\\n\"}{end}'";
    let pods = master.wait("a pod on every node", |guest| {
        let said = guest.sh(&format!("{KUBECTL} {ask}"));
        let pods: Vec<Vec<String>> = said
            .lines()
            .map(|line| line.split(' ').map(str::to_owned).collect())
            .collect();
        let ready = pods
            .iter()
            .filter(|pod| pod.get(3).is_some_and(|ready| ready == "True"));
        (pods.len() == count && ready.count() == count).then_some(pods)
    });
    let (mut pairs, mut by_name) = (0, 0);
    for from in &pods {
        let exec = format!("{KUBECTL} exec {} --", from[0]);
        for to in &pods {
            // One that has just answered listens again a moment later.
            let said = said(master, &format!("{exec} nc -w 10 {} 8080", to[2]));
            assert_eq!(said, format!("at {}", to[1]), "from {}", from[1]);
            pairs += 1;
        }
        let service = "echo.default.svc.cluster.local";
        let said = said(master, &format!("{exec} nc -w 10 {service} 80"));
        assert!(said.starts_with("at node"), "from {}: {said}", from[1]);
        by_name += 1;
    }
    let line = format!(
        "{pairs} answers of pods to pods, {by_name} of a service by its name\n"
    );
    std::io::stderr().write_all(line.as_bytes()).unwrap();
    master.sh(&format!("{KUBECTL} delete daemonset/echo service/echo"));
}

/// What a command says at last, within three tries of some seconds each.
fn said(master: &mut Guest<'_>, command: &str) -> String {
    let again = format!(
        "for n in 1 2 3; do {command} </dev/null && break; sleep 2; done"
    );
    master.sh(&again)
}

/// How many members etcd counts that may vote.
pub fn etcd_members(master: &mut Guest<'_>) -> usize {
    let list = "exec -n kube-system etcd-$(hostname) -- etcdctl \
                --cacert /etc/kubernetes/pki/etcd/ca.crt \
                --cert /etc/kubernetes/pki/etcd/peer.crt \
                --key /etc/kubernetes/pki/etcd/peer.key member list";
    let said = master.sh(&format!("{KUBECTL} {list}"));
    said.lines().filter(|line| line.ends_with("false")).count()
}
