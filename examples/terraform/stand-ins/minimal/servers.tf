# Stands in for ../../minimal/servers.tf where there is no Hetzner account; see ../../README.md.

resource "terraform_data" "web" {
  input = { ip_network = "2001:db8:1:1::/64" }
}

resource "terraform_data" "server_web" {
  triggers_replace = sha256(hetznat_peer.web.user_data)
}
