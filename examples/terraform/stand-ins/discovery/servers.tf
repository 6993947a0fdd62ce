# Stands in for ../../discovery/servers.tf where there is no Hetzner account; see ../../README.md.

resource "terraform_data" "server" {
  for_each         = var.servers
  input            = { labels = hetznat_peer.server[each.key].labels }
  triggers_replace = sha256(hetznat_peer.server[each.key].user_data)
}
