# bash completion for warren(1): commands and flags as the program itself names them

_warren() {
  local current=${COMP_WORDS[COMP_CWORD]} command= i

  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    if [[ ${COMP_WORDS[i]} != -* ]]; then
      command=${COMP_WORDS[i]}
      break
    fi
  done

  local common="--bus= --no-ask-password --help"
  local settings="--accept-dns --accept-routes --advertise-exit-node --advertise-routes=
    --advertise-tags= --exit-node= --exit-node-allow-lan-access --hostname= --proxy= --shields-up
    --snat-subnet-routes"
  local sign_in="--auth-key= --login-server= --qr --timeout="
  local words

  case $command in
    "") words="up down login logout status ip ping exit-node set get netcheck network whois version help"
        [[ $current == -* ]] && words="$common --version" ;;
    up) words="$settings $sign_in --force-reauth --json --reset $common" ;;
    login) words="$settings $sign_in $common" ;;
    status) words="--active --header --json --peers --self $common" ;;
    ip) words="--1 --4 --6 --assert= $common" ;;
    ping) words="--c= --icmp --timeout= --tsmp --until-direct --verbose $common" ;;
    exit-node) words="--filter= $common"
        [[ $current == -* ]] || words="list suggest use" ;;
    set) words="$settings $common" ;;
    get) words="--json --set-flags $common"
        [[ $current == -* ]] || words="all accept-dns accept-routes advertise-exit-node advertise-routes
          advertise-tags exit-node exit-node-allow-lan-access hostname proxy shields-up snat-subnet-routes" ;;
    netcheck) words="--format= $common" ;;
    network) words="--data-dir= --config= --json --no-join $common"
        [[ $current == -* ]] || words="create start stop delete status invite nodes approve rename tag move
          expire remove routes keys users policy dns derp backup restore" ;;
    whois) words="--json --proto= $common" ;;
    version) words="--daemon --json $common" ;;
    help) words="up down login logout status ip ping exit-node set get netcheck network whois version" ;;
    *) words=$common ;;
  esac

  COMPREPLY=($(compgen -W "$words" -- "$current"))
  if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *= ]]; then
    compopt -o nospace 2>/dev/null
  fi
}

complete -F _warren warren
