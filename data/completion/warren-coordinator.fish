# fish completion for warren-coordinator(1) and the words of "warren network"

set -l nouns serve create status stop delete backup restore keys nodes approve rename tag move expire remove routes users policy dns derp relay commands
set -l command warren-coordinator

complete -c $command -n "not __fish_seen_subcommand_from $nouns" -f -a "$nouns"
complete -c $command -n __fish_use_subcommand -l config -r -d "settings"
complete -c $command -n __fish_use_subcommand -l data-dir -r -d "database and keys"
complete -c $command -l json -d "answer as JSON"

for program in warren-coordinator warren
    complete -c $program -n "__fish_seen_subcommand_from keys" -f -a "create list revoke"
    complete -c $program -n "__fish_seen_subcommand_from keys" -l reusable -d "more than one device"
    complete -c $program -n "__fish_seen_subcommand_from keys" -l ephemeral -d "devices go when they are gone"
    complete -c $program -n "__fish_seen_subcommand_from nodes" -f -a "list approve deny rename tag move expire remove"
    complete -c $program -n "__fish_seen_subcommand_from routes" -f -a "list approve"
    complete -c $program -n "__fish_seen_subcommand_from users" -f -a "list create invite code password role remove"
    complete -c $program -n "__fish_seen_subcommand_from policy" -a "get set check preview"
    complete -c $program -n "__fish_seen_subcommand_from dns" -f -a "get set override magic domain search split record"
    complete -c $program -n "__fish_seen_subcommand_from derp" -a "get set"
end
complete -c warren -n "__fish_seen_subcommand_from network" -f -a "create start stop delete status invite nodes approve rename tag move expire remove routes keys users policy dns derp backup restore"
