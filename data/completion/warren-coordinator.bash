# bash completion for warren-coordinator(1)

_warren_coordinator() {
  local current=${COMP_WORDS[COMP_CWORD]} noun= i words

  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    case ${COMP_WORDS[i]} in
      --config | --data-dir) ((i++)) ;;
      -*) ;;
      *)
        noun=${COMP_WORDS[i]}
        break
        ;;
    esac
  done

  case $noun in
    "") words="serve create status stop delete backup restore keys nodes approve rename tag move expire
          remove routes users policy dns derp relay commands"
        [[ $current == -* ]] && words="--config= --data-dir= --help --version" ;;
    keys) words="create list revoke"
        [[ $current == -* ]] && words="--reusable --ephemeral --tags= --expires= --user= --json" ;;
    nodes) words="list approve deny rename tag move expire remove"
        [[ $current == -* ]] && words="--user= --in= --never --json" ;;
    routes) words="list approve"
        [[ $current == -* ]] && words="--all --json" ;;
    users) words="list create invite code password role remove"
        [[ $current == -* ]] && words="--role= --json" ;;
    policy) words="get set check preview"
        [[ $current == -* ]] && words="--policy= --nodes= --json" ;;
    dns) words="get set override magic domain search split record" ;;
    derp) words="get set" ;;
    serve) words="--config= --data-dir= --idle --url= --listen= --socket= --socket-group=
          --tls-certificate= --tls-key= --metrics= --name= --domain= --prefix4= --prefix6= --key-expiry=
          --relay-url= --relay-listen= --stun-port= --relay-open --relay-mesh-key-file= --verbose" ;;
    create) words="--name= --domain= --url= --listen= --prefix4= --prefix6= --key-expiry= --relay-url=
          --relay-listen= --stun-port=" ;;
    delete) words="--yes" ;;
    *) words="--json" ;;
  esac

  COMPREPLY=($(compgen -W "$words" -- "$current"))
  if [[ $noun == backup || $noun == restore || $noun == policy || $noun == derp ]]; then
    COMPREPLY+=($(compgen -f -- "$current"))
  fi
  if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *= ]]; then
    compopt -o nospace 2>/dev/null
  fi
}

complete -F _warren_coordinator warren-coordinator
