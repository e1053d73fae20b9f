import pytest
from tests.unit.documents.scratch_machine import BUILDER_ID, NO_UPGRADE, TOKEN, UPGRADE, Machine

SECRETS = (
    "root/.ssh/authorized_keys",
    "root/.ssh/id_ed25519",
    "root/.bash_history",
    "root/.docker/config.json",
    "root/.aws/credentials",
    "home/ubuntu/.ssh/authorized_keys",
    "home/ubuntu/.bash_history",
    "home/ubuntu/.python_history",
    "home/ubuntu/.netrc",
    "home/ubuntu/.git-credentials",
    "home/ubuntu/.ecr/cache.json",
    "home/ubuntu/.cache/x",
    "etc/ssh/ssh_host_rsa_key",
    "etc/ssh/ssh_host_rsa_key.pub",
    "etc/netplan/50-cloud-init.yaml",
    "var/lib/systemd/random-seed",
    "var/lib/dhcp/eth0.leases",
    "var/lib/ubuntu-advantage/private/machine-token.json",
    "var/lib/systemd/coredump/core.1",
    "var/crash/x.crash",
    "var/mail/root",
    "var/lib/apt/lists/archive_InRelease",
    "var/cache/apt/archives/x.deb",
    "var/log/auth.log",
    "var/log/auth.log.1",
    "var/log/syslog.2.gz",
    "var/log/amazon/ssm/amazon-ssm-agent.log",
    "var/log/journal/0123/system.journal",
    "var/log/cloud-init.log",
    "var/lib/cloud/instances/i-1/user-data.txt",
    "tmp/leftover",
    "var/tmp/dir/leftover",
)

HALF_CONFIGURED = """\
The following packages are only half configured, probably due to problems
configuring them the first time.  The configuration should be retried using
dpkg --configure <package> or the configure menu option in dselect:
 libc-bin             GNU C Library: Binaries
 linux-base           Linux image base package

"""


def test_planted_secrets_are_gone(builder: Machine) -> None:
    for path in SECRETS:
        builder.write(path, "planted-secret")
    assert builder.provision().code == 0
    assert builder.files_with("planted-secret") == []
    assert builder.read("etc/machine-id") == ""
    assert (builder.root / "home/ubuntu/.profile").exists()


def test_the_agent_keeps_its_state_until_the_shutdown(builder: Machine) -> None:
    report = f"var/lib/amazon/ssm/{BUILDER_ID}/document/orchestration/1/stdout"
    for path in (
        report,
        "var/lib/amazon/ssm/Vault/Store/InstanceFingerprint",
        "var/lib/amazon/ssm/packages/kept",
    ):
        builder.write(path, "state-of-the-agent")
    result = builder.provision()
    assert result.code == 0, result.stderr
    assert (builder.root / report).exists()
    assert "systemctl start ami-lifecycle-finish.service" in builder.calls
    builder.write("var/log/syslog", "said while stopping")
    assert builder.run_finish() == 0
    assert builder.files_with("state-of-the-agent") == ["var/lib/amazon/ssm/packages/kept"]
    assert builder.read("var/log/syslog") == ""


def test_the_shutdown_unit_is_gone_with_the_boot(builder: Machine) -> None:
    builder.provision()
    (unit,) = builder.root.rglob("ami-lifecycle-finish.service")
    assert unit.relative_to(builder.root).parts[0] == "run"


def test_registry_credentials_never_reach_a_file(plain: Machine) -> None:
    plain.docker(pull_errors=["unexpected EOF"])
    plain.provision()
    assert plain.files_with(TOKEN) == []
    assert not [path for path in plain.root.rglob("config.json") if path.parent.name.startswith("docker")]


def test_the_journal_moves_away_before_it_is_removed(builder: Machine) -> None:
    builder.install("journalctl", 'cp -r "$FAKE_ROOT/var/log/journal" "$FAKE_DIR/journal-then"')
    builder.write("var/log/journal/0123/system.journal", "planted")
    assert builder.provision().code == 0
    assert builder.called("journalctl") == ["journalctl --relinquish-var"]
    assert (builder.control / "journal-then/0123/system.journal").exists()
    assert not (builder.root / "var/log/journal/0123").exists()


def test_background_updates_are_quiet_during_the_build(builder: Machine) -> None:
    builder.install("snap", "")
    builder.provision()
    assert builder.called("snap") == ["snap refresh --hold=3h amazon-ssm-agent"]
    assert "systemctl stop apt-daily.timer apt-daily-upgrade.timer" in builder.calls
    assert not builder.called("sleep")


@pytest.mark.parametrize(
    "states",
    [
        UPGRADE,
        "ActiveState=active\n\nActiveState=inactive\n",
        "ActiveState=inactive\n\nActiveState=deactivating\n",
        "ActiveState=inactive\n\nJob=418\nActiveState=inactive\n",
    ],
)
def test_an_upgrade_that_its_timer_had_started_is_waited_for(builder: Machine, states: str) -> None:
    builder.set("upgrades", states)
    builder.set("upgrades-next", NO_UPGRADE)
    result = builder.provision()
    assert result.code == 0, result.stderr
    assert builder.called("sleep") == ["sleep 5"]
    stopped = builder.calls.index("systemctl stop apt-daily.timer apt-daily-upgrade.timer")
    waited = builder.calls.index("sleep 5")
    assert stopped < waited < builder.calls.index("dpkg --configure -a")
    assert "waiting for the system's own upgrade to end" in result.stdout.splitlines()


def test_an_upgrade_that_does_not_end_is_named_and_nothing_is_removed(builder: Machine) -> None:
    builder.set("upgrades", UPGRADE)
    lists = builder.write("var/lib/apt/lists/archive_InRelease", "in use")
    result = builder.provision()
    assert result.code == 13
    assert "apt-daily-upgrade.service has not ended in 900 seconds" in result.sentence
    assert "ActiveState=activating" in result.stderr
    assert builder.called("sleep") == ["sleep 5"] * 180
    assert lists.exists()


def test_a_systemd_that_does_not_answer_is_not_taken_for_one_without_upgrades(builder: Machine) -> None:
    builder.install("systemctl", "[[ $1 != show ]] || { echo 'Failed to connect to bus' >&2; exit 1; }")
    result = builder.provision()
    assert result.code == 13
    assert "Failed to connect to bus" in result.stderr


def test_a_package_that_is_half_installed_does_not_become_part_of_an_image(builder: Machine) -> None:
    builder.set("dpkg-audit", HALF_CONFIGURED)
    lists = builder.write("var/lib/apt/lists/archive_InRelease", "in use")
    result = builder.provision()
    assert result.code == 13
    assert "libc-bin linux-base are not wholly installed" in result.sentence
    assert "only half configured" in result.stderr
    assert lists.exists()
    assert not builder.called("cloud-init clean")
    builder.set("dpkg-audit", "")
    assert builder.provision().code == 0


def test_an_audit_that_fails_is_not_taken_for_a_clean_one(builder: Machine) -> None:
    builder.install("dpkg", "[[ $1 != --audit ]] || exit 2")
    result = builder.provision()
    assert result.code == 13
    assert "dpkg --audit" in result.sentence
