# What the tests apply: one gateway, and a server per entry of `servers`.

terraform {
  required_providers {
    hetznat = { source = "hetznat/hetznat" }
  }
}

variable "state" {
  type = string
}

variable "gateway_public_key" {
  type    = string
  default = null
}

variable "servers" {
  type    = map(string)
  default = {}
}

variable "extra_user_data" {
  type    = map(string)
  default = {}
}

# Of all servers alike.
variable "metadata_guard" {
  type    = bool
  default = null
}

variable "docker" {
  type    = bool
  default = null
}

variable "rotate" {
  type    = map(string)
  default = null
}

provider "hetznat" {
  state = var.state
}

resource "hetznat_gateway" "home" {
  name       = "home"
  public_key = var.gateway_public_key
}

# Stands in for hcloud_primary_ip: its network is known only after it was made.
resource "terraform_data" "primary_ip" {
  for_each = var.servers
  input    = each.value
}

resource "hetznat_peer" "server" {
  for_each = var.servers
  gateway  = hetznat_gateway.home.link
  name     = each.key
  endpoint = terraform_data.primary_ip[each.key].output
  rotate   = var.rotate

  extra_user_data = lookup(var.extra_user_data, each.key, null)
  metadata_guard  = var.metadata_guard
  docker          = var.docker
}

# Stands in for hcloud_server: another user_data is another server.
resource "terraform_data" "server" {
  for_each         = var.servers
  triggers_replace = [hetznat_peer.server[each.key].user_data]
}

output "wireguard_config" {
  value     = { for name, peer in hetznat_peer.server : name => peer.wireguard_config }
  sensitive = true
}

output "user_data" {
  value     = { for name, peer in hetznat_peer.server : name => peer.user_data }
  sensitive = true
}

output "server" {
  value = { for name, server in terraform_data.server : name => server.id }
}
