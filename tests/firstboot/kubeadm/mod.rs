//! The steps of kubeadm nodes, with programs that only pretend.

mod cluster;
mod init;
mod join;
mod runtime;
mod told;
