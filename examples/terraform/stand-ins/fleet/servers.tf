# Stands in for ../../fleet/servers.tf where there is no Hetzner account; see ../../README.md.

resource "terraform_data" "v6" {
  for_each = var.servers
  input    = { ip_network = format("2001:db8:1:%x::/64", parseint(substr(sha256(each.key), 0, 4), 16)) }
}

resource "terraform_data" "server" {
  for_each         = var.servers
  triggers_replace = sha256(hetznat_peer.server[each.key].user_data)
}
