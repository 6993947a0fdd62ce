# Stands in for ../../group/servers.tf where there is no Hetzner account; see ../../README.md.

resource "terraform_data" "worker" {
  count = var.workers
  input = { labels = hetznat_peer_group.workers.labels, user_data = sha256(hetznat_peer_group.workers.user_data) }
}
